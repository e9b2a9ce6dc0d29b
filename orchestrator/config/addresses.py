"""Paths and addresses as users write them: made absolute, and shown without their passwords."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
    """The same of what may be an address, such as `s3://bucket/folder`: that stays as it is."""
    return place if "://" in place else str(absolute_path(place))


def sqlite_path(uri: str) -> Path | None:
    """The database file of a SQLite URI; None for anything else, also for a database in memory."""
    name = uri.removeprefix(_SQLITE_PREFIX).partition("?")[0]
    return None if not uri.startswith(_SQLITE_PREFIX) or name in ("", ":memory:") else Path(name)


def absolute_tracking_uri(uri: str, base: Path) -> str:
    """The URI with a relative SQLite path resolved against `base`; every other URI as it is.

    Ray changes the working directory of its workers: a relative path would mean another file there.
    """
    path = sqlite_path(uri)
    if path is None:
        return uri
    _, separator, query = uri.partition("?")
    return f"{_SQLITE_PREFIX}{absolute_path(path, base)}{separator}{query}"


def below(uri: str, *names: str) -> str:
    """An address within a folder or bucket; what stands after a `?` stays at the end."""
    place, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    return "/".join([place.rstrip("/"), *names]) + mark + query


def without_password(text: str) -> str:
    """The text with the password of every URI in it hidden."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]+@", r"\1:***@", text)


def without_passwords(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same of every text in a JSON value."""
    match value:
        case str():
            return without_password(value)
        case dict():
            return {key: without_passwords(item) for key, item in value.items()}
        case list():
            return [without_passwords(item) for item in value]
        case _:
            return value
