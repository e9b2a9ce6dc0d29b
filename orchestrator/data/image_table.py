"""The one internal form of a data set: a memory-mapped Arrow IPC file of equally sized uint8
images.

Columns: `image` (fixed-size binary, channels x height x width bytes), `label` (text), `split`
("train" or "test"), and where the source names its images `place` (text). Every process of a
machine maps the same file, so that the pages are shared and nothing is decoded twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.errors import StorageUnavailableError

_METADATA_KEY = b"continual_orchestrator"


@dataclass(frozen=True)
class ImageTable:
    """A data set in memory-mapped form.

    Attributes:
        path: The Arrow IPC file.
        name: What the data set is called.
        shape: (channels, height, width) of every image.
        fingerprint: SHA-256 over shape, images, labels and splits: equal exactly for equal content.
        integer_labels: Whether the source's labels are integers; the table holds them as text all
            the same.
    """

    path: Path
    name: str
    shape: tuple[int, int, int]
    fingerprint: str
    integer_labels: bool = False

    @cached_property
    def _table(self) -> pa.Table:
        with pa.memory_map(str(self.path)) as source:
            return pa.ipc.open_file(source).read_all()

    @cached_property
    def images(self) -> npt.NDArray[np.uint8]:
        """All images, (images, channels, height, width), read-only and without a copy."""
        column = self._table.column("image").chunk(0)
        pixels = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        return pixels.reshape(-1, *self.shape)[column.offset : column.offset + len(column)]

    @cached_property
    def labels(self) -> npt.NDArray[np.str_]:
        """The label of every image, as text."""
        return np.asarray(self._table.column("label").to_pylist(), dtype=np.str_)

    @cached_property
    def is_test(self) -> npt.NDArray[np.bool_]:
        """Whether an image is test data."""
        return np.asarray(
            [split == "test" for split in self._table.column("split").to_pylist()], dtype=np.bool_
        )

    def place_of(self, row: int) -> str:
        """Return where an image lies in the source, such as a path; empty where that is not known.

        Args:
            row: Of the table.
        """
        if "place" not in self._table.column_names:
            return ""
        return str(self._table.column("place")[row].as_py())


def write_image_table(
    path: Path,
    name: str,
    images: npt.NDArray[np.uint8],
    labels: Sequence[int | str],
    is_test: npt.NDArray[np.bool_],
    places: Sequence[str] = (),
) -> ImageTable:
    """Writes a table atomically and opens it.

    Args:
        path: Where the Arrow IPC file goes; an existing one is replaced.
        name: What the data set is called.
        images: (images, channels, height, width).
        labels: One per image; they count as integers only where all are.
        is_test: One per image.
        places: Where each image lies in the source; empty where that is not known.

    Raises:
        StorageUnavailableError: The folder cannot be written.
    """
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    content = np.ascontiguousarray(images)
    texts = [str(label) for label in labels]
    fingerprint = _fingerprint(content, texts, is_test)
    integer_labels = all(isinstance(label, int) for label in labels)
    metadata = {
        "name": name,
        "shape": shape,
        "fingerprint": fingerprint,
        "integer_labels": integer_labels,
    }
    pixels = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(int(np.prod(shape))), len(content), [None, pa.py_buffer(content)]
    )
    columns = {
        "image": pixels,
        "label": pa.array(texts, pa.string()),
        "split": pa.array(np.where(is_test, "test", "train"), pa.string()),
    }
    if places:
        columns["place"] = pa.array(places, pa.string())
    table = pa.table(columns).replace_schema_metadata(
        {_METADATA_KEY: json.dumps(metadata).encode()}
    )
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                pa.OSFile(str(temporary), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as writer,
            ):
                writer.write_table(table)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path.parent, error) from None
    return ImageTable(path, name, shape, fingerprint, integer_labels)


def room_on_disk(folder: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Room for images that memory need not hold: an array in a file that has no name, and is gone
    with whoever uses it.

    Args:
        folder: Where there is room; it is made.
        shape: Of the array.

    Raises:
        StorageUnavailableError: There is no room, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # without room set apart, a full disk would end the process without a word
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise _cannot_write(folder, error) from None


def open_image_table(path: Path) -> ImageTable | None:
    """Opens a table, or gives None when there is none, or when it is torn."""
    if not path.exists():
        return None
    try:
        with pa.memory_map(str(path)) as source:
            metadata = json.loads(pa.ipc.open_file(source).schema.metadata[_METADATA_KEY])
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, json.JSONDecodeError):
        return None
    channels, height, width = metadata["shape"]
    return ImageTable(
        path,
        metadata["name"],
        (channels, height, width),
        metadata["fingerprint"],
        metadata["integer_labels"],
    )


def _cannot_write(folder: Path, error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(
        f"cannot write decoded images ({error.strerror or error})",
        where=str(folder),
        next_step="set data.cache_dir to a writable folder",
    )


def _fingerprint(
    images: npt.NDArray[np.uint8], labels: list[str], is_test: npt.NDArray[np.bool_]
) -> str:
    digest = hashlib.sha256(json.dumps([list(images.shape), labels]).encode())
    digest.update(np.packbits(is_test).tobytes())
    digest.update(images.data)
    return digest.hexdigest()
