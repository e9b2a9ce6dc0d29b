"""A folder of Parquet files that grows, on any filesystem that pyarrow knows.

Which images are held out depends on their content alone: an image that comes twice, or again in a
later file, is always on the same side, so that no model is judged by an image that any earlier one
has learned from.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import fs

from orchestrator.config.addresses import below
from orchestrator.config.data import ArrivalsConfig
from orchestrator.data.decoding import content_digest
from orchestrator.data.filesystems import connect, reached
from orchestrator.data.parquet import decode_cells, read_cells
from orchestrator.errors import DataError


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

    def __init__(self, uri: str) -> None:
        """Connects; nothing is read yet.

        Args:
            uri: A local path, or an address such as `s3://bucket/folder`.

        Raises:
            UserInputError: No filesystem has this kind of address.
            StorageUnavailableError: The address does not answer.
        """
        self.uri = uri
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
                raise DataError(
                    "no such folder", where=self.uri, next_step="create it, or correct source.path"
                )
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
        return below(self.uri, name)


@dataclass(frozen=True)
class ParquetContent:
    """One file's rows, not yet decoded.

    Attributes:
        where: What the file is called in messages.
        sha256: Of the whole file.
        labels: One per row.
        digests: Of every row's image as it is stored.
    """

    where: str
    sha256: str
    labels: list[int] | list[str]
    digests: list[bytes]
    _cells: pa.ChunkedArray

    def decode(self, rows: list[int], shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
        """Some rows' images, (rows, channels, height, width).

        Raises:
            DataError: One cannot be decoded.
        """
        return decode_cells(self._cells, rows, shape, self.where)


def read_content(folder: Folder, name: str) -> ParquetContent:
    """Reads a file.

    Raises:
        DataError: It is no Parquet file of images and labels.
        StorageUnavailableError: It cannot be read.
    """
    content, where = folder.content(name), folder.where(name)
    cells, labels = read_cells(pa.BufferReader(content), where)
    digests = [content_digest(cell.as_py()) for chunk in cells.chunks for cell in chunk]
    return ParquetContent(where, hashlib.sha256(content).hexdigest(), labels, digests, cells)


def is_held_out(digest: bytes, fraction: float) -> bool:
    """Whether the image of this digest is never learned from."""
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def read_arrivals(
    config: ArrivalsConfig,
) -> tuple[npt.NDArray[np.uint8], list[int | str], npt.NDArray[np.bool_]]:
    """What a run needs of the files: images, their labels, and which of them are held out.

    Raises:
        DataError: A file has changed since it was taken in, or holds what cannot be used.
        StorageUnavailableError: The folder cannot be read.
    """
    folder, shape = Folder(config.path), (config.num_channels, config.image_size, config.image_size)
    last_delivery = dict(config.deliveries)
    parts: list[npt.NDArray[np.uint8]] = [np.empty((0, *shape), dtype=np.uint8)]
    labels: list[int | str] = []
    held_out: list[bool] = []
    for file in config.files:
        content = read_content(folder, file.name)
        if content.sha256 != file.sha256:
            raise DataError(
                "has changed since it was taken in",
                where=content.where,
                next_step="run `orchestrator retrain` again",
            )
        taken = {label for label, last in last_delivery.items() if file.delivery <= last}
        rows = [
            row for row in range(len(content.labels)) if _is_wanted(content, row, taken, config)
        ]
        parts.append(content.decode(rows, shape))
        labels += [content.labels[row] for row in rows]
        held_out += [is_held_out(content.digests[row], config.held_out_fraction) for row in rows]
    return np.concatenate(parts), labels, np.asarray(held_out, dtype=np.bool_)


def _is_wanted(content: ParquetContent, row: int, taken: Set[str], config: ArrivalsConfig) -> bool:
    label = str(content.labels[row])
    if label not in taken:
        return False
    return label not in config.held_out_only or is_held_out(
        content.digests[row], config.held_out_fraction
    )
