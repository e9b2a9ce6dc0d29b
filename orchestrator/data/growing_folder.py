"""A folder of Parquet files that grows, on any filesystem that pyarrow knows.

Which images are held out depends on their content alone: an image that comes twice, or again in a
later file, is always on the same side, so that no model is judged by an image that any earlier one
has learned from.
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
    """A file as it is listed, without being read.

    Attributes:
        name: Path within the folder.
        num_bytes: Its size.
        modified: When it was written, in seconds since 1970.
    """

    name: str
    num_bytes: int
    modified: float


class Folder:
    """The folder."""

    def __init__(self, uri: str, field: str = "source.path") -> None:
        """Connects; nothing is read yet.

        Args:
            uri: A local path, or an address such as `s3://bucket/folder`.
            field: What to correct where there is none, for messages.

        Raises:
            UserInputError: No filesystem has this kind of address.
            StorageUnavailableError: The address does not answer.
        """
        self.uri = uri
        self._field = field
        self._filesystem, self._root = connect(uri)

    def names(self) -> dict[str, SourceFile]:
        """All files of whatever kind, by name; those that are hidden (`.…`, `_…`), or lie in a
        hidden folder, are left out.

        Raises:
            DataError: There is no such folder.
            StorageUnavailableError: It cannot be listed.
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
        """All bytes of a file.

        Raises:
            StorageUnavailableError: It cannot be read.
        """
        with (
            reached(self.uri),
            self._filesystem.open_input_file(posixpath.join(self._root, name)) as file,
        ):
            return file.read_buffer()

    def where(self, name: str) -> str:
        """What a file is called in messages."""
        return below(shown(self.uri), name)


@dataclass(frozen=True)
class ParquetContent:
    """One file's rows, not yet decoded.

    Attributes:
        where: What the file is called in messages.
        sha256: Of the whole file.
        labels: One per row; empty where they are not read.
        digests: Of every row's image as it is stored.
    """

    where: str
    sha256: str
    labels: list[int] | list[str]
    digests: list[bytes]
    _cells: pa.ChunkedArray

    def cell(self, row: int) -> object:
        """Return a row's image as it is stored."""
        return cell_value(self._cells[row], f"{self.where} row {row}")

    def decode(
        self, rows: list[int], shape: tuple[int, int, int], max_pixels: int
    ) -> npt.NDArray[np.uint8]:
        """Some rows' images, (rows, channels, height, width).

        Args:
            rows: Of the file.
            shape: (channels, height, width) to which every image is converted.
            max_pixels: Most pixels of one image.

        Raises:
            DataError: One cannot be decoded, or has more pixels.
        """
        return decode_cells(self._cells, rows, shape, self.where, ImageLimits(max_pixels))


def read_content(folder: Folder, name: str, has_labels: bool = True) -> ParquetContent:
    """Reads a file.

    Args:
        folder: Where it is.
        name: Which.
        has_labels: Whether its labels are read.

    Raises:
        DataError: It is no Parquet file of images and labels.
        StorageUnavailableError: It cannot be read.
    """
    content, where = folder.content(name), folder.where(name)
    cells, labels = read_cells(pa.BufferReader(content), where, has_labels)
    digests = [
        content_digest(cell_value(cell, f"{where} row {row}")) for row, cell in enumerate(cells)
    ]
    return ParquetContent(where, hashlib.sha256(content).hexdigest(), labels, digests, cells)


def read_taken(folder: Folder, name: str, sha256: str, has_labels: bool = True) -> ParquetContent:
    """Read a file as a retraining took it in.

    Args:
        folder: Where it is.
        name: Which.
        sha256: Of its content then.
        has_labels: Whether its labels are read.

    Raises:
        DataError: It has changed since, or is no Parquet file of images and labels.
        StorageUnavailableError: It cannot be read.
    """
    content = read_content(folder, name, has_labels)
    if content.sha256 != sha256:
        raise DataError(
            "has changed since it was taken in",
            where=content.where,
            next_step="run `orchestrator retrain` again",
        )
    return content


def is_held_out(digest: bytes, fraction: float) -> bool:
    """Whether the image of this digest is never learned from."""
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
