"""The filesystems that images are read from: the local one, and object storage by its address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from orchestrator.config.addresses import without_password
from orchestrator.errors import StorageUnavailableError, UserInputError


def connect(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of an address, and the path within it; nothing is read yet.

    Args:
        uri: A local path, or an address such as `s3://bucket/folder`.

    Raises:
        UserInputError: No filesystem has this kind of address.
        StorageUnavailableError: The address does not answer.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri))
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError) as error:
        raise UserInputError(
            f"{without_password(uri)!r}: {error}", next_step="use a local path, s3:// or gs://"
        ) from None
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot be reached ({error})",
            where=without_password(uri),
            next_step="check the address",
        ) from None
    return filesystem, path


@contextmanager
def reached(where: str) -> Iterator[None]:
    """What is done within reads a filesystem.

    Raises:
        StorageUnavailableError: It cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot be read ({error})",
            where=without_password(where),
            next_step="check the address and its rights",
        ) from None
