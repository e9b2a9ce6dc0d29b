"""Provide folders private to this user within the shared temporary folder."""

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
    """Return the user's private folder, and create the folder if it is missing. Only the user has
    permissions for the folder.

    Raises:
        StorageUnavailableError: The folder cannot be created, or its path is a link or belongs to
            another user.
    """
    folder = Path(tempfile.gettempdir()) / f"orchestrator-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StorageUnavailableError(
            f"the temporary folder cannot be created ({error.strerror or error})",
            where=str(folder),
            next_step="set TMPDIR to a writable folder",
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StorageUnavailableError(
            "is a link, or belongs to another user",
            where=str(folder),
            next_step="remove the folder or link, or set TMPDIR to a folder of your own",
        )
    if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
        folder.chmod(stat.S_IRWXU)
    return folder


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Create a folder that is removed at the end of the `with` block. If the process is killed
    before the end, the next call of this function removes the folder.

    Args:
        purpose: Prefix of the folder's name.

    Raises:
        StorageUnavailableError: The folder cannot be created.
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
            f"a temporary folder cannot be created ({error})",
            where=str(root),
            next_step="free space, or set TMPDIR to a writable folder",
        ) from None


class _MakingError(Exception):
    """The lock of a new folder cannot be taken."""


def _claimed(lock: Path) -> int:
    """Create and lock a file; return its descriptor. The kernel releases the lock when this process
    ends.
    """
    try:
        owner = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # another process has locked the folder to remove it
        raise _MakingError(error.strerror or error) from None
    return owner


def _clear_dead(root: Path) -> None:
    """Remove the folders of processes that have ended. If the lock of a folder can be taken, the
    folder's process has ended.
    """
    for lock in root.glob(f"*{_LOCK}"):
        folder = lock.with_suffix("")
        if not _SCRATCH.fullmatch(folder.name):
            continue
        with suppress(OSError):
            owner = os.open(lock, os.O_WRONLY | os.O_NOFOLLOW)
            try:
                is_new = time.time() - os.fstat(owner).st_mtime < _MAKING_SECONDS
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # the lock is held, so the process that uses the folder is alive
                os.close(owner)
                continue
            # Keep a new lock file that has no folder: the process that created the lock file is
            # about to lock the file and to create the folder.
            if is_new and not folder.exists():
                os.close(owner)
                continue
            _remove(folder, owner)


def _remove(folder: Path, owner: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(_LOCK).unlink(missing_ok=True)
    os.close(owner)
