"""Import any source into two Parquet files, one of training and one of test images. Images stay as
they are stored, and rows are in the order of their labels.

Samples are processed in chunks. Each chunk is a file whose name is a key of the chunk's input, so
that a resumed import reuses finished chunks. The chunks are then merged label by label, so that a
reader of some classes reads only the row groups of these classes. At most one chunk or one row
group is in memory at a time.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.config.image_source import Half
from orchestrator.data.decoding import encoded_bytes, opened, shrunk, upright
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.samples import Sample, in_batches, in_threads, natural_key
from orchestrator.data.survey import BadImage, Examined, ImageFacts, examine
from orchestrator.errors import StorageUnavailableError

_FORMAT = 1  # raise this number when images are stored in another way
_CHUNK_IMAGES = 256
_GROUP_IMAGES = 1024
_GROUP_BYTES = 64 * 2**20
_PROOF_SHAPE = (3, 32, 32)  # shape of images that are decoded only to verify that decoding succeeds
_JPEG_QUALITY = 95

_CHUNK_SCHEMA = pa.schema(
    {
        "image": pa.binary(),
        "label": pa.string(),
        "is_integer": pa.bool_(),
        "where": pa.string(),
        "name": pa.string(),
        "digest": pa.binary(),
        "mode": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "reason": pa.string(),
    }
)


@dataclass(frozen=True)
class Chunk:
    """File with a part of the training or test images. Each label has one row group, and all
    unusable images share another row group.

    Attributes:
        path: The file.
        half: "train" if the chunk has training images, "test" if it has test images.
    """

    path: Path
    half: Half

    def images(self) -> list[ImageFacts | BadImage]:
        """Return the facts about each image, in the order of the rows. The file is read on every
        call, because the facts of all chunks may be too many for memory.
        """
        with pq.ParquetFile(self.path) as file:
            rows = file.read(
                columns=[name for name in _CHUNK_SCHEMA.names if name != "image"]
            ).to_pylist()
        return [_facts(self.half, row) for row in rows]

    def labels(self) -> list[str]:
        """Return the label of each row group with usable images, in the order of the row groups."""
        with pq.ParquetFile(self.path) as file:
            labels = file.read(columns=["label"]).column("label").to_pylist()
        return [*dict.fromkeys(label for label in labels if label is not None)]

    def content(self, row_group: int) -> list[bytes]:
        """Return the images of one row group, which all have the same label."""
        with pq.ParquetFile(self.path) as file:
            images: list[bytes] = (
                file.read_row_group(row_group, columns=["image"]).column("image").to_pylist()
            )
        return images


def import_key(stamp: str, image_size: int | None, max_pixels: int) -> str:
    """Return the key of an import; imports with equal keys give equal files."""
    return hashlib.sha256(f"{_FORMAT} {image_size} {max_pixels} {stamp}".encode()).hexdigest()


def import_chunks(
    samples: Iterator[Sample], half: Half, image_size: int | None, max_pixels: int, folder: Path
) -> Iterator[tuple[Chunk, int]]:
    """Store the training or test images in chunks, in the order of the samples. Existing chunks are
    reused.

    Args:
        samples: All training samples, or all test samples.
        half: Whether the samples are training or test images.
        image_size: Length in pixels of the shorter side to which larger images are shrunk; None
            keeps the size of all images.
        max_pixels: Largest number of pixels of a usable image.
        folder: Existing folder for the chunks.

    Returns:
        Each chunk with its number of samples.

    Raises:
        StorageUnavailableError: The folder cannot be written.
    """
    limits = ImageLimits(max_pixels)
    work = partial(_row, half=half, image_size=image_size, limits=limits)
    for batch in in_batches(samples, _CHUNK_IMAGES):
        stamp = repr([(sample.where, sample.stamp) for sample in batch])
        key = import_key(stamp, image_size, max_pixels)
        path = folder / f"{half}-{key[:32]}.parquet"
        if not path.exists():
            _write_chunk(path, list(in_threads(work, batch)))
        yield Chunk(path, half), len(batch)


def merge(
    chunks: Sequence[Chunk], path: Path, integer_labels: bool, metadata: Mapping[bytes, bytes]
) -> None:
    """Write the file of all training or test images atomically, with rows in the order of their
    labels and one label per row group.

    Args:
        chunks: All chunks of the training images, or of the test images.
        path: The file to write; an existing file is replaced.
        integer_labels: Whether labels are stored as integers instead of text.
        metadata: Metadata to store with the schema.

    Raises:
        StorageUnavailableError: The folder cannot be written.
    """
    places: dict[str, list[tuple[Chunk, int]]] = defaultdict(list)
    for chunk in chunks:
        for row_group, label in enumerate(chunk.labels()):
            places[label].append((chunk, row_group))
    kind = pa.int64() if integer_labels else pa.string()
    schema = pa.schema({"image": pa.binary(), "label": kind}, metadata=dict(metadata))
    with _written(path, schema, {"image": "none", "label": "zstd"}) as writer:
        for label in sorted(places, key=natural_key):
            for group in _groups(
                image for chunk, row_group in places[label] for image in chunk.content(row_group)
            ):
                labels = [int(label) if integer_labels else label] * len(group)
                writer.write_table(pa.table({"image": group, "label": labels}, schema=schema))


def _groups(images: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield the encoded images in groups, each of which becomes one row group of a Parquet file.
    Each group has a limited number of images and of bytes.
    """
    group: list[bytes] = []
    num_bytes = 0
    for image in images:
        if group and (len(group) == _GROUP_IMAGES or num_bytes + len(image) > _GROUP_BYTES):
            yield group
            group, num_bytes = [], 0
        group.append(image)
        num_bytes += len(image)
    if group:
        yield group


def _row(sample: Sample, half: Half, image_size: int | None, limits: ImageLimits) -> dict[str, Any]:
    found = examine(sample, half, _PROOF_SHAPE, limits)
    if isinstance(found, BadImage):
        return {"where": found.where, "reason": found.reason}
    facts = found.facts
    return {
        "image": _stored(found, image_size, limits),
        "label": str(facts.label),
        "is_integer": isinstance(facts.label, int),
        **{
            name: getattr(facts, name)
            for name in ("where", "name", "digest", "mode", "width", "height")
        },
    }


def _facts(half: Half, row: Mapping[str, Any]) -> ImageFacts | BadImage:
    if row["reason"] is not None:
        return BadImage(half, row["where"], row["reason"])
    label = int(row["label"]) if row["is_integer"] else row["label"]
    return ImageFacts(
        half,
        row["where"],
        row["name"],
        label,
        row["digest"],
        row["mode"],
        row["width"],
        row["height"],
    )


def _stored(found: Examined, image_size: int | None, limits: ImageLimits) -> bytes:
    """Return the bytes to store for an image. An encoded image is stored unchanged unless it is
    larger than `image_size`. Any other image is encoded again: a JPEG as JPEG, every other image as
    PNG.
    """
    content = encoded_bytes(found.content)
    is_large = image_size is not None and min(found.decoded.size) > image_size
    if isinstance(content, bytes) and not is_large:
        return content
    image = opened(content, found.facts.where, limits)
    image_format = "JPEG" if image.format == "JPEG" else "PNG"
    stream = io.BytesIO()
    with limits.room_for(*image.size):
        kept = shrunk(image, image_size) if image_size is not None and is_large else upright(image)
        kept.save(stream, image_format, quality=_JPEG_QUALITY)
    return stream.getvalue()


def _write_chunk(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    by_label: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_label[row.get("label")].append(row)
    labels = sorted(
        by_label, key=lambda label: (label is None, label or "")
    )  # unusable images come last
    with _written(path, _CHUNK_SCHEMA, "none") as writer:
        for label in labels:
            writer.write_table(pa.Table.from_pylist(by_label[label], schema=_CHUNK_SCHEMA))


@contextmanager
def _written(
    path: Path, schema: pa.Schema, compression: str | Mapping[str, str]
) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file atomically: the file appears at its path only when it is complete."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with pq.ParquetWriter(
            temporary,
            schema,
            compression=compression,
            use_dictionary=["label"],
            write_statistics=["label"],
        ) as writer:
            yield writer
        temporary.replace(path)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, where=str(path.parent), next_step="choose another --output, or free space"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
