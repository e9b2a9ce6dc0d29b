"""The output folder of a run, a backtest or a retraining: made, probed, and held by one process."""

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
# Trying again cannot mend these: the path itself is wrong. A full or broken disk is not among them.
_WRONG_PATHS = {
    errno.EEXIST,
    errno.ENOENT,  # a folder of the system in which nothing can be made: /proc
    errno.ENOTDIR,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


def make_writable(folder: Path) -> None:
    """Make a folder, and check that files can be written there.

    Raises:
        UserInputError: The path is a file, or its owner does not let this user write there.
        StorageUnavailableError: The disk is full or broken.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # of this process alone: another one may probe the same folder
        probe = folder / f".write-probe-{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_be_written(folder, error) from None


@contextmanager
def held_folder(folder: Path, holder: str) -> Iterator[None]:
    """Hold a folder against every other process, and make it where it is missing; one that was
    made for what then failed before it wrote anything is removed.

    Args:
        folder: Where results go.
        holder: The command, which a refused process is shown: `a run`.

    Raises:
        UserInputError: The folder cannot be made or written.
        StorageUnavailableError: The disk is full or broken.
        LockedError: Another process holds the folder.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_writable(folder)
    lock = FileLock(folder / _LOCK)
    note = folder / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"{_read(note)} writes here",
            where=str(folder),
            next_step="wait until it ends, or choose another --output",
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
    """Remove folders that were made, while the lock is held, if they have nothing but the lock."""
    if made and {path.name for path in folder.iterdir()} <= {_LOCK, _HOLDER}:
        with suppress(OSError):
            for name in (_HOLDER, _LOCK):
                (folder / name).unlink(missing_ok=True)
            for place in made:
                place.rmdir()


def _sign(note: Path, holder: str) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    with suppress(OSError):  # the lock holds without it
        note.write_text(
            f"{holder} (process {os.getpid()} on {socket.gethostname()}, since {since})",
            encoding="utf-8",
        )


def _read(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):  # it has just begun, or just ended
        return "another process"


def _cannot_be_written(folder: Path, error: OSError) -> OrchestratorError:
    kind = UserInputError if error.errno in _WRONG_PATHS else StorageUnavailableError
    return kind(
        f"cannot be written ({error.strerror or error})",
        where=str(folder),
        next_step="choose another --output",
    )
