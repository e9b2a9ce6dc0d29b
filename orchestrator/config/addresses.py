"""Paths and addresses as users write them, made absolute."""

from __future__ import annotations

from pathlib import Path

from orchestrator.address import Address

STORAGE_VARIABLE = "ORCHESTRATOR_STORAGE"
_STORAGES = ("sqlite", "postgresql", "mysql", "mariadb")
_SQLITE_PREFIX = "sqlite:///"


def absolute_path(path: str | Path, base: Path | None = None) -> Path:
    """Return the absolute form of a path; `~` means the home directory.

    Args:
        path: The path as the user wrote it.
        base: The folder that a relative path starts from; None means the working directory.

    Raises:
        ValueError: The path begins with the home directory (`~NAME`) of a user who is unknown on
            this machine.
    """
    try:
        return ((base or Path()) / Path(path).expanduser()).absolute()
    except RuntimeError:
        msg = f"{path}: no such home directory; give an absolute path"
        raise ValueError(msg) from None


def absolute_place(place: str) -> str:
    """Return the absolute form of a path or address such as `s3://bucket/folder`.

    An address is returned unchanged, except that the `***` placeholders of masked secrets are
    removed: the secret is then read from the environment.

    Raises:
        ValueError: `absolute_path` rejects the path, or a `***` placeholder masks the host or the
            path instead of a secret.
    """
    return Address(place).without_placeholders() if "://" in place else str(absolute_path(place))


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a SQLite URI; None for an in-memory database or another URI."""
    name = uri.removeprefix(_SQLITE_PREFIX).partition("?")[0]
    return None if not uri.startswith(_SQLITE_PREFIX) or name in ("", ":memory:") else Path(name)


def absolute_tracking_uri(uri: str, base: Path) -> str:
    """Return the absolute form of a tracking URI. A relative SQLite path is resolved against
    `base`; `absolute_place` resolves every other URI.

    Ray changes the working directory of its workers, where a relative path would name a different
    file.

    Raises:
        ValueError: A placeholder masks the place itself.
    """
    path = sqlite_path(uri)
    if path is None:
        return Address(uri).without_placeholders()
    _, separator, query = uri.partition("?")
    return f"{_SQLITE_PREFIX}{absolute_path(path, base)}{separator}{query}"


def absolute_storage(uri: str) -> str:
    """Return the absolute address of an Optuna storage, resolved like a tracking URI.

    Raises:
        ValueError: The address is not a database that Optuna supports, or a `***` placeholder masks
            its host or path instead of a secret.
    """
    if Address(uri).scheme.partition("+")[0] not in _STORAGES:
        msg = (
            f"{Address(uri)} is not an Optuna storage; give sqlite:///FILE or"
            " postgresql://HOST/DATABASE"
        )
        raise ValueError(msg)
    return absolute_tracking_uri(uri, Path.cwd())


def storage_beside(store: str) -> str:
    """Return the default address of the Optuna storage: a file next to the stage store, or in
    `.orchestrator` of the working directory if the store is not a local folder.
    """
    folder = absolute_path(".orchestrator") if "://" in store else absolute_path(store).parent
    return f"{_SQLITE_PREFIX}{folder / 'studies.db'}"


def nameable(place: str) -> str:
    """Return a path or address without its secrets, so that its parts can be used as the names of
    data sources.
    """
    address = Address(place)
    return address.shown.rpartition("@")[2] if address.has_secret else place


def below(uri: str, *names: str) -> str:
    """Return the address of an entry below a folder or bucket; a query after `?` stays at the
    end.
    """
    place, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    return "/".join([place.rstrip("/"), *names]) + mark + query
