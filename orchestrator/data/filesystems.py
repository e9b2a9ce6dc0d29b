"""Open files and folders by their address, on the local filesystem or in object storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.masking import hide, secrets_advice, shown


def connect(uri: str, field: str = "", what: str = "") -> tuple[fs.FileSystem, str]:
    """Return the filesystem of an address, and the path within it, without reading anything.

    Args:
        uri: A local path, or an address such as `s3://bucket/folder`.
        field: The setting that holds the address, for messages.
        what: What the address holds, for messages.

    Raises:
        UserInputError: This kind of address is not supported.
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
    """Convert every `OSError` that is raised while a file or folder is read into
    `StorageUnavailableError`.

    Args:
        where: Name of the file or folder that is read, for messages.
        uri: Address of the file or folder; None means `where`.

    Raises:
        StorageUnavailableError: The file or folder cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot be read ({hide(error, uri or where)})",
            where=shown(where),
            next_step=f"check the address and the access rights{keys_advice(where)}",
        ) from None


def keys_advice(uri: str) -> str:
    """Return advice on where to put the access keys of a remote address; empty for a local path."""
    return f"; its keys belong in {secrets_advice(uri)}" if "://" in uri else ""
