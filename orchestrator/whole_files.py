"""Write files in one piece: a reader sees all of a file or nothing, and no link is followed."""

from __future__ import annotations

import glob
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

_STALE_SECONDS = 3600


def write_whole(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write a file, or replace it; where a link has its name, the link is replaced.

    The content gets a temporary name that nobody can foresee: a link that waits there would lead
    to another file.

    Args:
        path: In a folder that exists.
        content: All of it; text becomes UTF-8.
        mode: Rights of the file, less what the process's mask takes.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _remove_stale(path)


def _remove_stale(path: Path) -> None:
    """Remove what processes left that were killed while they wrote this file."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.{16 * '[0-9a-f]'}.tmp"):
        with suppress(OSError):
            if time.time() - stale.lstat().st_mtime > _STALE_SECONDS:
                stale.unlink()
