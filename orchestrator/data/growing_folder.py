"""Read a growing folder, to which Parquet files are added over time, on any filesystem that pyarrow
supports.

Whether an image is held out depends only on the content of the image. Copies of an image, even in
later files, are therefore all held out or all used for training. No model is evaluated on an image
that an earlier model has learned from.
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import fs

from orchestrator.config.addresses import below
from orchestrator.data.decoding import content_digest
from orchestrator.data.filesystems import connect, reached
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.parquet_columns import cell_value, decode_cells, read_cells
from orchestrator.errors import DataError
from orchestrator.masking import shown


@dataclass(frozen=True)
class SourceFile:
    """Facts about a file from the listing of its folder, without reading the file.

    Attributes:
        name: Path within the folder.
        num_bytes: Size in bytes.
        modified: Modification time, in seconds since 1970.
    """

    name: str
    num_bytes: int
    modified: float


class Folder:
    """Growing folder of Parquet files."""

    def __init__(self, uri: str, field: str = "source.path") -> None:
        """Connect to the folder without reading anything.

        Args:
            uri: A local path, or an address such as `s3://bucket/folder`.
            field: The setting to correct if the folder does not exist, for messages.

        Raises:
            UserInputError: This kind of address is not supported.
            StorageUnavailableError: The address does not answer.
        """
        self.uri = uri
        self._field = field
        self._filesystem, self._root = connect(uri)

    def names(self) -> dict[str, SourceFile]:
        """Return all files by name, not only Parquet files. Hidden files (`.…`, `_…`) and files in
        hidden folders are skipped.

        Raises:
            DataError: The folder does not exist.
            StorageUnavailableError: The folder cannot be listed.
        """
        with reached(self.uri):
            if (
                "://" not in self.uri
                and self._filesystem.get_file_info(self._root).type != fs.FileType.Directory
            ):
                advice = f"create it, or correct {self._field}"
                raise DataError("no such folder", where=shown(self.uri), next_step=advice)
            listed = self._filesystem.get_file_info(
                fs.FileSelector(self._root, recursive=True, allow_not_found=True)
            )
        found = {}
        for info in sorted(listed, key=lambda info: info.path):
            name = posixpath.relpath(info.path, self._root)
            if info.type == fs.FileType.File and not any(
                part.startswith((".", "_")) for part in name.split("/")
            ):
                found[name] = SourceFile(
                    name, info.size, info.mtime.timestamp() if info.mtime else 0.0
                )
        return found

    def content(self, name: str) -> pa.Buffer:
        """Return the content of a file.

        Raises:
            StorageUnavailableError: The file cannot be read.
        """
        with (
            reached(self.uri),
            self._filesystem.open_input_file(posixpath.join(self._root, name)) as file,
        ):
            return file.read_buffer()

    def where(self, name: str) -> str:
        """Return the name of a file in messages."""
        return below(shown(self.uri), name)


@dataclass(frozen=True)
class ParquetContent:
    """Rows of one Parquet file, with images that are not yet decoded.

    Attributes:
        where: Name of the file in messages.
        sha256: SHA-256 of the whole file.
        labels: One label per row; empty if labels are not read.
        digests: Digest of every row's stored image.
    """

    where: str
    sha256: str
    labels: list[int] | list[str]
    digests: list[bytes]
    _cells: pa.ChunkedArray

    def cell(self, row: int) -> object:
        """Return the stored image of a row."""
        return cell_value(self._cells[row], f"{self.where} row {row}")

    def decode(
        self, rows: list[int], shape: tuple[int, int, int], max_pixels: int
    ) -> npt.NDArray[np.uint8]:
        """Return the decoded images of some rows as an array (rows, channels, height, width).

        Args:
            rows: Row numbers in the file.
            shape: (channels, height, width) to which every image is converted.
            max_pixels: Largest number of pixels of one image.

        Raises:
            DataError: An image cannot be decoded, or has too many pixels.
        """
        return decode_cells(self._cells, rows, shape, self.where, ImageLimits(max_pixels))


def read_content(folder: Folder, name: str, has_labels: bool = True) -> ParquetContent:
    """Read the labels and the undecoded images of a file.

    Args:
        folder: The folder.
        name: Path of the file within the folder.
        has_labels: Whether to read labels.

    Raises:
        DataError: The file is not a Parquet file of images and labels.
        StorageUnavailableError: The file cannot be read.
    """
    content, where = folder.content(name), folder.where(name)
    cells, labels = read_cells(pa.BufferReader(content), where, has_labels)
    digests = [
        content_digest(cell_value(cell, f"{where} row {row}")) for row, cell in enumerate(cells)
    ]
    return ParquetContent(where, hashlib.sha256(content).hexdigest(), labels, digests, cells)


def read_taken(folder: Folder, name: str, sha256: str, has_labels: bool = True) -> ParquetContent:
    """Read a file that a retraining has recorded. Reject a file that has changed since then.

    Args:
        folder: The folder.
        name: Path of the file within the folder.
        sha256: SHA-256 that was recorded for the file.
        has_labels: Whether to read labels.

    Raises:
        DataError: The file has changed since it was recorded, or is not a Parquet file of images
            and labels.
        StorageUnavailableError: The file cannot be read.
    """
    content = read_content(folder, name, has_labels)
    if content.sha256 != sha256:
        raise DataError(
            "has changed since it was recorded",
            where=content.where,
            next_step="run `orchestrator retrain` again",
        )
    return content


def is_held_out(digest: bytes, fraction: float) -> bool:
    """Return whether the image with this digest is held out, so that no model learns from it."""
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
