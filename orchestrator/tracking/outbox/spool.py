"""Keep log entries on disk until the tracking store has them.

In a session, one process logs to one run and to the run's children, for example to a sweep and its
trials. Each session has a spool folder:

```
SPOOL/RUN_ID-xxxxxxxx.lock        locked while the process is alive
SPOOL/RUN_ID-xxxxxxxx/
├── destination.json              the store and the experiment
├── journal.jsonl                 one log entry per line, in the order of logging (see `journal`)
├── delivered.json                progress of sending the entries (see `Delivered`)
├── refused.jsonl                 entries that the store refuses permanently, with the reason
└── files/                        copies of logged files
```

If the process is killed, no logged entry is lost: the next command, or `orchestrator reconcile`,
sends the entries that the store lacks. Do not change the format, because this version must read
folders that earlier versions have written, such as `tests/data/spool_0_1`.
"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from orchestrator.errors import StorageUnavailableError
from orchestrator.masking import shown_values
from orchestrator.tracking.outbox.entries import Entry, entry_from_json
from orchestrator.tracking.outbox.journal import Journal
from orchestrator.whole_files import write_whole

_JOURNAL, _DELIVERED, _DESTINATION, _REFUSED, _FILES = (
    "journal.jsonl",
    "delivered.json",
    "destination.json",
    "refused.jsonl",
    "files",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """The store and the experiment to which a session (a run with its children) logs.

    Attributes:
        uri: URI of the store. A spool contains the URI without its secrets; the spools of earlier
            versions contain the secrets.
        experiment: Name of the experiment.
    """

    uri: str = field(repr=False)
    experiment: str


@dataclass
class Delivered:
    """Progress of sending a session's log entries to the store.

    Attributes:
        offset: Offset in the journal (the file of log entries), in bytes. All entries before this
            offset were sent or put aside.
        run_ids: The store's id of each run that a `Begin` entry created or a `Resume` entry
            reopened, by the id in that entry.
        aside: Entries that were put aside to be sent after all others, as JSON.
    """

    offset: int = 0
    run_ids: dict[str, str] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)


class Spool:
    """Keeps the log entries of one session in a folder on disk until the store has the entries.

    In a session, one process logs to one run and to the run's children.

    Args:
        folder: Spool folder of the session.
        lock: Lock of the folder, held by this process.
    """

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self._lock = lock
        self._journal = Journal(folder / _JOURNAL)
        self.destination = Destination(**_read_json(folder / _DESTINATION))
        self.delivered = _read_delivered(folder)

    @classmethod
    def begin(cls, spool_dir: Path, run_id: str, destination: Destination) -> Spool:
        """Create and lock the spool folder of a new session (a run with its children).

        Raises:
            StorageUnavailableError: The folder cannot be created.
        """
        folder = spool_dir / f"{run_id}-{uuid.uuid4().hex[:8]}"
        try:
            spool_dir.mkdir(parents=True, exist_ok=True)
            lock = FileLock(_lock_file(folder))
            lock.acquire(timeout=5)  # another process may hold the lock for a moment to test it
            folder.mkdir(mode=0o700)
            _write_json(folder / _DESTINATION, shown_values(asdict(destination)))
            return cls(folder, lock)
        except OSError as error:
            advice = "free some space there, or set tracking.spool to another folder"
            raise StorageUnavailableError(
                f"the spool of tracked numbers cannot be written ({error.strerror or error})",
                str(spool_dir),
                advice,
            ) from None

    @classmethod
    def left_behind(cls, spool_dir: Path) -> Iterator[Spool]:
        """Yield the spool of each session whose process is gone, the oldest first. In a session,
        one process logs to one run and to the run's children.

        The order matters, because a session may resume the run of an earlier session. This process
        holds the lock of a spool until the caller closes the spool.
        """
        for lock_file in sorted(spool_dir.glob("*.lock"), key=_begun_ns):
            lock, folder = FileLock(lock_file), lock_file.with_suffix("")
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue  # the session's process is alive, or the folder belongs to another user
            if not (folder / _DESTINATION).exists():
                _remove(folder, lock)  # a process was killed while creating or removing the folder
                continue
            try:
                spool = cls(folder, lock)
            except (OSError, ValueError, TypeError) as error:
                logger.warning(
                    "%s cannot be read (%s), so its entries are not sent; delete it to discard"
                    " the entries",
                    folder,
                    error,
                )
                lock.release()
            else:
                yield spool

    def append(self, entry: Entry) -> int:
        """Append an entry to the journal, and return the offset at which the entry ends.

        Raises:
            OSError: The entry cannot be written; the journal is unchanged.
        """
        return self._journal.append(entry)

    def copy(self, path: Path) -> Path:
        """Copy a file or folder into the spool folder, because the original may change.

        Raises:
            OSError: The file or folder cannot be copied.
        """
        target = self.folder / _FILES / uuid.uuid4().hex[:8] / path.name
        target.parent.mkdir(parents=True)
        try:
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                shutil.copyfile(path, target)
        except OSError:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
        return target

    def waiting(self) -> list[tuple[Entry, int]]:
        """Return the log entries in the journal file after the recorded offset, each with the
        offset in bytes at which the entry ends. The list may contain entries of `aside`.

        Raises:
            UserInputError: A line is not an entry.
            OSError: The journal cannot be read.
        """
        return self._journal.entries_after(self.delivered.offset)

    def aside(self) -> list[Entry]:
        """Return the entries that were put aside to be sent after all others."""
        return [entry_from_json(line.encode()) for line in self.delivered.aside]

    def note_delivered(
        self, offset: int, run_ids: Mapping[str, str], aside: Sequence[Entry] = ()
    ) -> None:
        """Record the progress of sending entries to the store.

        Args:
            offset: Offset in the journal at which the last sent entry ends. A smaller offset than
                the recorded offset is ignored.
            run_ids: The store's ids of runs, as in `Delivered`.
            aside: Entries that are put aside to be sent after all others, as in `Delivered`.

        Raises:
            OSError: The record cannot be written. The entries will be sent again, which does no
                harm.
        """
        self.delivered = Delivered(
            max(offset, self.delivered.offset),
            dict(run_ids),
            [entry.model_dump_json() for entry in aside],
        )
        _write_json(self.folder / _DELIVERED, asdict(self.delivered))

    def note_refused(self, entry: Entry, reason: str) -> None:
        """Record that the store refuses an entry permanently, with the reason.

        Raises:
            OSError: The record cannot be written.
        """
        with (self.folder / _REFUSED).open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"reason": reason, "entry": json.loads(entry.model_dump_json())}) + "\n"
            )

    def close(self) -> None:
        """Release the lock of the spool folder, and remove the folder if the store has all entries.

        A spool folder with entries that the store has refused is kept for inspection.
        """
        self._journal.close()
        if self.delivered.aside or self._journal.has_entries_after(self.delivered.offset):
            self._lock.release()
        elif (self.folder / _REFUSED).exists():
            _forget(self.folder, self._lock)
        else:
            _remove(self.folder, self._lock)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _forget(folder, lock)


def _forget(folder: Path, lock: FileLock) -> None:
    # Remove the lock file before releasing the lock: otherwise, another process could lock the file
    # just before its removal.
    _lock_file(folder).unlink(missing_ok=True)
    lock.release()


def _begun_ns(lock_file: Path) -> int:
    try:
        return (lock_file.with_suffix("") / _DESTINATION).stat().st_mtime_ns
    except OSError:
        return 0


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _read_delivered(folder: Path) -> Delivered:
    """Read the progress of sending entries. If the file is missing or corrupt, return no progress,
    because sending entries again does no harm.
    """
    try:
        return Delivered(**_read_json(folder / _DELIVERED))
    except (OSError, ValueError, TypeError, RecursionError):
        return Delivered()


def _write_json(path: Path, content: object) -> None:
    write_whole(path, json.dumps(content), mode=0o600)
