"""Open any place by its address: the local filesystem, and object storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.masking import hide, secrets_advice, shown


def connect(uri: str, field: str = "", what: str = "") -> tuple[fs.FileSystem, str]:
    """Return the filesystem of an address, and the path within it; nothing is read yet.

    Args:
        uri: A local path, or an address such as `s3://bucket/folder`.
        field: The setting that holds it, for messages.
        what: What is there, for messages.

    Raises:
        UserInputError: No filesystem has this kind of address.
        StorageUnavailableError: The address does not answer.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri))
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError) as error:
        setting = f"{field} = " if field else ""
        raise UserInputError(
            f"{setting}{shown(uri)!r}: {hide(error, uri)}",
            next_step="use a local path, s3:// or gs://",
        ) from None
    except OSError as error:
        raise StorageUnavailableError(
            f"{what} cannot be reached ({hide(error, uri)})".lstrip(),
            where=shown(uri),
            next_step=f"check {field or 'the address'}{keys_advice(uri)}",
        ) from None
    return filesystem, path


@contextmanager
def reached(where: str, uri: str | None = None) -> Iterator[None]:
    """Run what reads a filesystem.

    Args:
        where: What is read, for messages.
        uri: The address by which it was opened; None where that is `where`.

    Raises:
        StorageUnavailableError: It cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot be read ({hide(error, uri or where)})",
            where=shown(where),
            next_step=f"check the address and its rights{keys_advice(where)}",
        ) from None


def keys_advice(uri: str) -> str:
    """Return where the keys of a remote place belong, to be added to advice; empty for a path."""
    return f"; its keys belong in {secrets_advice(uri)}" if "://" in uri else ""
