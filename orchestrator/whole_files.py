"""Write files atomically: readers never see a part of a file, and links are not followed."""

from __future__ import annotations

import glob
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

_STALE_SECONDS = 3600


def write_whole(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write or replace a file atomically; a symbolic link at the path is replaced, not followed.

    The content is first written under an unpredictable temporary name. Under a predictable name, an
    attacker could plant a link that would redirect the writing.

    Args:
        path: The file, in an existing folder.
        content: The whole content; text is encoded as UTF-8.
        mode: Permissions of the file, reduced by the umask.

    Raises:
        OSError: The file cannot be written.
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
    """Remove temporary files of processes that were killed while they wrote a file."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.{16 * '[0-9a-f]'}.tmp"):
        with suppress(OSError):
            if time.time() - stale.lstat().st_mtime > _STALE_SECONDS:
                stale.unlink()
