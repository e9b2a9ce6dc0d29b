"""Find Parquet files, on a local disk or in object storage: one file, a folder, or the matches of a
pattern.
"""

from __future__ import annotations

import glob
import hashlib
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol, cast

from pyarrow import fs

from orchestrator.config.addresses import below
from orchestrator.data.filesystems import connect, reached
from orchestrator.errors import DataError
from orchestrator.masking import shown


class StoredFile(Protocol):
    """Protocol of one Parquet file, on disk or in object storage."""

    @property
    def where(self) -> str:
        """Return the name of the file in messages."""

    @property
    def name(self) -> str:
        """Return the name of the file, without its folder."""

    @property
    def stamp(self) -> str:
        """Return the stamp, a text that changes when the content of the file changes."""

    def open(self) -> AbstractContextManager[IO[bytes]]:
        """Open the content for random access.

        Raises:
            DataError: The file is not readable.
            StorageUnavailableError: Object storage does not answer, when the file is opened or
                while it is read.
        """


def find_parquet_files(place: str, fields: str = "data.train and data.test") -> list[StoredFile]:
    """Return the Parquet files at a place, sorted by name. The place is a file, a folder, or a
    pattern such as `data/train-*.parquet`.

    Args:
        place: A local path, or an address such as `s3://bucket/data/train-*.parquet`.
        fields: The settings to correct if no file is found, for messages.

    Raises:
        DataError: No file matches, or the folder has no Parquet files.
        UserInputError: This kind of address is not supported.
        StorageUnavailableError: The storage does not answer.
    """
    files, is_folder = _in_object_storage(place) if "://" in place else _on_disk(Path(place))
    if not files:
        what = "holds no *.parquet file" if is_folder else "no such file or folder"
        raise DataError(what, where=shown(place), next_step=f"correct {fields}")
    return files


@dataclass(frozen=True)
class _LocalFile:
    path: Path

    @property
    def where(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def stamp(self) -> str:
        """Return a digest of the content, so that touching or copying the file does not change the
        stamp.
        """
        with self.open() as stream:
            return hashlib.file_digest(cast("io.BufferedReader", stream), "sha256").hexdigest()

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise DataError(
                f"cannot be read ({error.strerror})",
                where=self.where,
                next_step="give readable Parquet files",
            ) from None
        with stream:
            yield stream


@dataclass(frozen=True)
class _RemoteFile:
    where: str
    name: str
    # The stamp, a text that changes when the file changes, is made from path, size and modification
    # time. Reading the content for a stamp would take as long as decoding the file.
    stamp: str
    filesystem: fs.FileSystem
    path: str
    address: str = field(repr=False)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        with (
            reached(self.where, self.address),
            self.filesystem.open_input_file(self.path) as stream,
        ):
            yield cast("IO[bytes]", _RemoteContent(stream, self.where, self.address))


class _RemoteContent(io.RawIOBase):
    """Remote file that raises `StorageUnavailableError` if the connection fails. An `OSError` would
    be ambiguous, because Arrow also raises `OSError` for corrupt files.
    """

    def __init__(self, stream: IO[bytes], where: str, address: str) -> None:
        self._stream, self._where, self._address = stream, where, address

    def read(self, size: int = -1) -> bytes:
        with reached(self._where, self._address):
            return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _on_disk(path: Path) -> tuple[list[StoredFile], bool]:
    if path.is_file():
        return [_LocalFile(path)], False
    found = path.glob("*.parquet") if path.is_dir() else map(Path, glob.glob(str(path)))  # noqa: PTH207 - the pattern may be absolute
    return [_LocalFile(file) for file in sorted(found) if file.is_file()], path.is_dir()


def _in_object_storage(address: str) -> tuple[list[StoredFile], bool]:
    """Return the files at an address in object storage, and whether the address is a folder. In an
    address, `*` matches within one folder or file name, and `?` is no wildcard: it begins the
    options of the storage, such as `?region=eu-west-1`.
    """
    place, mark, options = address.partition("?")
    scheme, _, path = place.partition("://")
    parts = path.rstrip("/").split("/")
    num_fixed = next((position for position, part in enumerate(parts) if "*" in part), len(parts))
    base = f"{scheme}://{'/'.join(parts[:num_fixed])}{mark}{options}"
    filesystem, root = connect(base)
    base = shown(base)
    with reached(base, address):
        info = filesystem.get_file_info(root)
        if info.type == fs.FileType.File:
            return [_remote_file(info, base, filesystem, address)], False
        pattern = parts[num_fixed:] or ["*.parquet"]
        selector = fs.FileSelector(root, recursive=len(pattern) > 1, allow_not_found=True)
        listed = sorted(filesystem.get_file_info(selector), key=lambda info: info.path)
    names = {
        info.path: info.path.removeprefix(root).strip("/").split("/")
        for info in listed
        if info.type == fs.FileType.File
    }
    files = [
        _remote_file(info, below(base, *names[info.path]), filesystem, address)
        for info in listed
        if _fits(names.get(info.path, []), pattern)
    ]
    return files, num_fixed == len(parts) and info.type == fs.FileType.Directory


def _remote_file(
    info: fs.FileInfo, where: str, filesystem: fs.FileSystem, address: str
) -> StoredFile:
    stamp = f"{info.path} {info.size} {info.mtime_ns}"
    return _RemoteFile(where, info.base_name, stamp, filesystem, info.path, address)


def _fits(name: list[str], pattern: list[str]) -> bool:
    return len(name) == len(pattern) and all(map(fnmatchcase, name, pattern))
