"""Store a data set as a memory-mapped Arrow IPC file of uint8 images of one size. Inside this
project, data sets have no other form.

Columns: `image` (fixed-size binary, channels x height x width bytes), `label` (text), `split`
("train" or "test"), and, if known, `place` (text: the path, or the file and row, of the image in
its source). All processes on a machine map the same file. Thus they share memory pages, and no
image is decoded twice.
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
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class ImageTable:
    """Memory-mapped data set.

    Attributes:
        path: The Arrow IPC file.
        name: Name of the data set.
        shape: (channels, height, width) of every image.
        fingerprint: SHA-256 over shape, images, labels and splits. Two tables have equal
            fingerprints if and only if their contents are equal.
        integer_labels: Whether the labels of the source are integers. The table always stores
            labels as text.
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
        """Return all images as a read-only array (images, channels, height, width); no data is
        copied.
        """
        column = self._table.column("image").chunk(0)
        pixels = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        return pixels.reshape(-1, *self.shape)[column.offset : column.offset + len(column)]

    @cached_property
    def labels(self) -> npt.NDArray[np.str_]:
        """Return the label of every image, as text."""
        return np.asarray(self._table.column("label").to_pylist(), dtype=np.str_)

    @cached_property
    def is_test(self) -> npt.NDArray[np.bool_]:
        """Return, for every image, whether it is test data."""
        return np.asarray(
            [split == "test" for split in self._table.column("split").to_pylist()], dtype=np.bool_
        )

    def place_of(self, row: int) -> str:
        """Return the place of an image in the source, such as a path; empty if the place is
        unknown.

        Args:
            row: Row of the table.
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
    """Write a table atomically, and return the opened table.

    Args:
        path: The Arrow IPC file to write; an existing file is replaced.
        name: Name of the data set.
        images: Pixels, (images, channels, height, width).
        labels: One label per image; labels count as integers only if all are integers.
        is_test: For each image, whether it is test data.
        places: Place of each image in the source; empty if places are unknown.

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
    """Allocate an array on disk, in an unnamed temporary file. The disk space is freed when the
    array is no longer used.

    Args:
        folder: Folder of the file; it is created if missing.
        shape: Shape of the array.

    Raises:
        StorageUnavailableError: The disk is full, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Reserve the disk space now: otherwise, a full disk would later kill the process
            # silently.
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise _cannot_write(folder, error) from None


def open_image_table(path: Path) -> ImageTable | None:
    """Open a table; return None if its file is missing or truncated."""
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


def parts_of_rows(num: int) -> list[slice]:
    """Divide the row numbers below `num` into slices whose images take little memory."""
    return [slice(start, start + _ROWS_AT_ONCE) for start in range(0, num, _ROWS_AT_ONCE)]
