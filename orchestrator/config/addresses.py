"""Paths and addresses as users write them, made absolute."""

from __future__ import annotations

from pathlib import Path

from orchestrator.address import Address

STORAGE_VARIABLE = "ORCHESTRATOR_STORAGE"
_STORAGES = ("sqlite", "postgresql", "mysql", "mariadb")
_SQLITE_PREFIX = "sqlite:///"


def absolute_path(path: str | Path, base: Path | None = None) -> Path:
    """The path from the root of the file system; `~` is the home directory.

    Args:
        path: As somebody wrote it.
        base: The folder from which it was written; None means the working directory.

    Raises:
        ValueError: It begins with the home directory of somebody who is not known here.
    """
    try:
        return ((base or Path()) / Path(path).expanduser()).absolute()
    except RuntimeError:
        msg = f"{path}: there is no such home directory; write the whole path"
        raise ValueError(msg) from None


def absolute_place(place: str) -> str:
    """Return the same of what may be an address, such as `s3://bucket/folder`.

    An address stays as it is, without the `***` that stand where it had a secret when it was
    written down: the secret is then taken from the environment.

    Raises:
        ValueError: As `absolute_path`, or the place is hidden as well.
    """
    return Address(place).without_placeholders() if "://" in place else str(absolute_path(place))


def sqlite_path(uri: str) -> Path | None:
    """The database file of a SQLite URI; None for anything else, also for a database in memory."""
    name = uri.removeprefix(_SQLITE_PREFIX).partition("?")[0]
    return None if not uri.startswith(_SQLITE_PREFIX) or name in ("", ":memory:") else Path(name)


def absolute_tracking_uri(uri: str, base: Path) -> str:
    """Return the URI with a relative SQLite path resolved against `base`; every other URI as
    `absolute_place` returns it.

    Ray changes the working directory of its workers: a relative path would mean another file there.

    Raises:
        ValueError: The place is hidden, as `absolute_place`.
    """
    path = sqlite_path(uri)
    if path is None:
        return Address(uri).without_placeholders()
    _, separator, query = uri.partition("?")
    return f"{_SQLITE_PREFIX}{absolute_path(path, base)}{separator}{query}"


def absolute_storage(uri: str) -> str:
    """Return the address of an Optuna storage as `absolute_tracking_uri` returns it.

    Raises:
        ValueError: It is no database that Optuna can use, or its place is hidden.
    """
    if Address(uri).scheme.partition("+")[0] not in _STORAGES:
        msg = (
            f"{Address(uri)} is no storage of Optuna; give sqlite:///FILE or"
            " postgresql://HOST/DATABASE"
        )
        raise ValueError(msg)
    return absolute_tracking_uri(uri, Path.cwd())


def storage_beside(store: str) -> str:
    """Return the address of the Optuna storage beside a stage store: a file in the same folder, or
    in this one's `.orchestrator` where the store is no folder of this machine.
    """
    folder = absolute_path(".orchestrator") if "://" in store else absolute_path(store).parent
    return f"{_SQLITE_PREFIX}{folder / 'studies.db'}"


def nameable(place: str) -> str:
    """Return what a part of which may become a name: a place without user information."""
    address = Address(place)
    return address.shown.rpartition("@")[2] if address.has_secret else place


def below(uri: str, *names: str) -> str:
    """An address within a folder or bucket; what stands after a `?` stays at the end."""
    place, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    return "/".join([place.rstrip("/"), *names]) + mark + query
