"""Folders for files of this user alone, in the temporary folder that all users share."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.errors import StorageUnavailableError

_LOCK = ".alive"
_SCRATCH = re.compile(r"[a-z]+-[0-9a-f]{16}")
_MAKING_SECONDS = 60


def private_folder() -> Path:
    """Return the folder, made with rights for its owner only.

    Raises:
        StorageUnavailableError: It cannot be made, or what has its name is a link or another
            user's.
    """
    folder = Path(tempfile.gettempdir()) / f"orchestrator-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StorageUnavailableError(
            f"the temporary folder cannot be made ({error.strerror or error})",
            where=str(folder),
            next_step="set TMPDIR to a writable folder",
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StorageUnavailableError(
            "is a link, or belongs to another user",
            where=str(folder),
            next_step="remove it, or set TMPDIR to a folder of your own",
        )
    if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
        folder.chmod(stat.S_IRWXU)
    return folder


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Make a folder that is gone when the `with` ends, or, after a kill, when the next one is made.

    Args:
        purpose: Begins its name.

    Raises:
        StorageUnavailableError: It cannot be made.
    """
    root = private_folder()
    _clear_dead(root)
    try:
        folder = root / f"{purpose}-{secrets.token_hex(8)}"
        owner = _claimed(folder.with_suffix(_LOCK))
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder, owner)
    except _MakingError as error:
        raise StorageUnavailableError(
            f"a temporary folder cannot be made ({error})",
            where=str(root),
            next_step="make room, or set TMPDIR to a writable folder",
        ) from None


class _MakingError(Exception):
    """The lock of a new folder cannot be taken."""


def _claimed(lock: Path) -> int:
    """Return a file descriptor that is locked for as long as this process lives."""
    try:
        owner = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # taken in between means that somebody is clearing it
        raise _MakingError(error.strerror or error) from None
    return owner


def _clear_dead(root: Path) -> None:
    """Remove the folders of processes that are gone: the kernel has released their locks."""
    for lock in root.glob(f"*{_LOCK}"):
        folder = lock.with_suffix("")
        if not _SCRATCH.fullmatch(folder.name):
            continue
        with suppress(OSError):
            owner = os.open(lock, os.O_WRONLY | os.O_NOFOLLOW)
            try:
                is_new = time.time() - os.fstat(owner).st_mtime < _MAKING_SECONDS
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # its process lives
                os.close(owner)
                continue
            if is_new and not folder.exists():  # its process is between making and locking it
                os.close(owner)
                continue
            _remove(folder, owner)


def _remove(folder: Path, owner: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(_LOCK).unlink(missing_ok=True)
    os.close(owner)
