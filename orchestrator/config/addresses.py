"""Convert paths and addresses, as users write them, to absolute form."""

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

    An address is returned unchanged, except that every `***` in place of a masked secret is
    removed. The secrets of such an address are later read from the environment.

    Raises:
        ValueError: `absolute_path` rejects the path, or `***` masks the host or the path of an
            address instead of a secret.
    """
    return Address(place).without_placeholders() if "://" in place else str(absolute_path(place))


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a SQLite URI. Return None for an in-memory database, and for a
    URI of any other kind.
    """
    name = uri.removeprefix(_SQLITE_PREFIX).partition("?")[0]
    return None if not uri.startswith(_SQLITE_PREFIX) or name in ("", ":memory:") else Path(name)


def absolute_tracking_uri(uri: str, base: Path) -> str:
    """Return the absolute form of a tracking URI.

    The path in a SQLite URI is resolved against `base`. Every other URI is returned unchanged,
    except that every `***` in place of a masked secret is removed. Paths must be absolute because
    Ray changes the working directory of its workers.

    Raises:
        ValueError: The SQLite path begins with the home directory of an unknown user, or `***`
            masks the host or the path of a URI instead of a secret.
    """
    path = sqlite_path(uri)
    if path is None:
        return Address(uri).without_placeholders()
    _, separator, query = uri.partition("?")
    return f"{_SQLITE_PREFIX}{absolute_path(path, base)}{separator}{query}"


def absolute_storage(uri: str) -> str:
    """Return the absolute address of an Optuna storage. A relative SQLite path is resolved against
    the working directory.

    Raises:
        ValueError: Optuna does not support this kind of database, or `absolute_tracking_uri`
            rejects the address.
    """
    if Address(uri).scheme.partition("+")[0] not in _STORAGES:
        msg = (
            f"{Address(uri)} is not an Optuna storage; give sqlite:///FILE or"
            " postgresql://HOST/DATABASE"
        )
        raise ValueError(msg)
    return absolute_tracking_uri(uri, Path.cwd())


def storage_beside(store: str) -> str:
    """Return the default address of the Optuna storage, a SQLite file. The file lies next to the
    stage store or, if the store is not a local folder, in `.orchestrator` in the working directory.
    """
    folder = absolute_path(".orchestrator") if "://" in store else absolute_path(store).parent
    return f"{_SQLITE_PREFIX}{folder / 'studies.db'}"


def nameable(place: str) -> str:
    """Return a path or address without its secrets. Parts of the result serve as names of data
    sets.
    """
    address = Address(place)
    return address.shown.rpartition("@")[2] if address.has_secret else place


def below(uri: str, *names: str) -> str:
    """Append names to the address of a folder or bucket. A query (`?…`) of the address stays at the
    end.
    """
    place, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    return "/".join([place.rstrip("/"), *names]) + mark + query
