"""Create, probe and lock the output folder of a run, a sweep or a backtest."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from orchestrator.errors import (
    LockedError,
    OrchestratorError,
    StorageUnavailableError,
    UserInputError,
)

_LOCK, _HOLDER = ".lock", ".lock-holder"
# Errors that show a wrong path, so that a retry cannot succeed. Errors of a full or broken disk are
# excluded, because a retry can succeed.
_WRONG_PATHS = {
    errno.EEXIST,
    errno.ENOENT,  # raised in folders that reject new files, such as /proc
    errno.ENOTDIR,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


def make_writable(folder: Path) -> None:
    """Create a folder if it is missing, and check that files can be written there.

    Raises:
        UserInputError: The path is a file, or this user may not write there.
        StorageUnavailableError: The disk is full or broken.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The name of the probe file contains the process id, because another process may probe the
        # folder at the same time.
        probe = folder / f".write-probe-{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_be_written(folder, error) from None


@contextmanager
def held_folder(folder: Path, holder: str) -> Iterator[None]:
    """Lock a folder against other processes while the `with` block runs. The folder is created if
    it is missing; if the block then fails before it writes a file, the folder is removed again.

    Args:
        folder: The output folder.
        holder: Name of this command, such as `a run`, for the error message of a process that finds
            the folder locked.

    Raises:
        UserInputError: The folder cannot be created or written.
        StorageUnavailableError: The disk is full or broken.
        LockedError: Another process has locked the folder.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_writable(folder)
    lock = FileLock(folder / _LOCK)
    note = folder / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"{_read(note)} is writing here",
            where=str(folder),
            next_step="wait until that command ends, or choose another --output",
        ) from None
    except OSError as error:
        raise _cannot_be_written(folder, error) from None
    try:
        _sign(note, holder)
        yield
    except BaseException:
        _remove_empty(folder, missing)
        raise
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _remove_empty(folder: Path, made: Sequence[Path]) -> None:
    """Remove newly created folders if they contain only the lock. Call this while the lock is
    held.
    """
    with suppress(OSError):  # a person or another process may have removed the folder
        if made and {path.name for path in folder.iterdir()} <= {_LOCK, _HOLDER}:
            for name in (_HOLDER, _LOCK):
                (folder / name).unlink(missing_ok=True)
            for place in made:
                place.rmdir()


def _sign(note: Path, holder: str) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    with suppress(OSError):  # the note only names the lock's holder; the lock works without it
        note.write_text(
            f"{holder} (process {os.getpid()} on {socket.gethostname()}, since {since})",
            encoding="utf-8",
        )


def _read(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):  # the lock's holder has just started or ended
        return "another process"


def _cannot_be_written(folder: Path, error: OSError) -> OrchestratorError:
    kind = UserInputError if error.errno in _WRONG_PATHS else StorageUnavailableError
    return kind(
        f"cannot be written ({error.strerror or error})",
        where=str(folder),
        next_step="choose another --output",
    )
