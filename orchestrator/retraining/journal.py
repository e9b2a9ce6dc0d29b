"""The journal is a sequence of numbered entries, which record which process holds the lease and
which model is the champion. Each entry can be written only once.

```
journal/000000000041.json      acquired   by a tick, which holds the lease while it sends heartbeats
journal/000000000042.json      promoted   the champion has changed; also held, rejected, …
journal/000000000043.json      settled    the registry agrees with the journal
journal/000000000044.json      released
heartbeats/000000000041        rewritten regularly by the process that wrote entry 41
```

A process may write entry n + 1 only if the last entry that it has read is entry n. So two processes
cannot both write entry n + 1. A stale lease holder (one whose lease another process has taken over)
cannot write either, because its next number is already used. The entry number thus serves as a
fencing token.

Every change that needs the lease is first written as an entry and then applied to the registry. If
the writer dies in between, the next lease holder applies the change.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import LeaseLostError, StorageUnavailableError
from orchestrator.retraining.state import State
from orchestrator.retraining.storage import Storage

_KEPT_ENTRIES = 200
_STATE = TypeAdapter(State)
_NAME = re.compile(r"journal/[0-9]{12}\.json")


class EntryKind(StrEnum):
    """Kinds of journal entries."""

    ACQUIRED = "acquired"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    HELD = "held"
    ASKED = "asked"
    APPROVED = "approved"
    ROLLED_BACK = "rolled_back"
    ADOPTED = "adopted"
    SETTLED = "settled"
    RELEASED = "released"


@dataclass(frozen=True)
class Entry:
    """One entry of the journal.

    Attributes:
        index: The entry's number, from 1.
        kind: The entry's kind.
        token: Fencing token of the writer: the index of the `acquired` entry that the writer wrote
            to get the lease.
        holder: The process that wrote the entry, as tags (see `run_process`).
        state: State of the retraining after this entry.
        nonce: Random text that distinguishes this entry from an entry of another process.
    """

    index: int
    kind: EntryKind
    token: int
    holder: dict[str, str]
    state: State
    nonce: str

    @property
    def name(self) -> str:
        """Return the name of the entry's file."""
        return entry_name(self.index)

    @property
    def heartbeat(self) -> str:
        """Return the name of the heartbeat file of the process that wrote the entry."""
        return f"heartbeats/{self.token:012d}"

    def as_bytes(self) -> bytes:
        """Return the content of the entry's file."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Entry:
        """Return the entry that `as_bytes` serialised.

        Raises:
            ValueError: The content is not an entry.
        """
        try:
            values: dict[str, Any] = json.loads(content)
            state = _STATE.validate_python(asdict(State.from_values(values["state"])))
            entry = cls(**{**values, "kind": EntryKind(values["kind"]), "state": state})
        except RecursionError:
            msg = "nested too deeply"
            raise ValueError(msg) from None
        except ValidationError as error:
            msg = f"its state is invalid: {error.errors()[0]['msg']}"
            raise ValueError(msg) from None
        except (AttributeError, LookupError, TypeError) as error:
            msg = f"{type(error).__name__}: {error}"
            raise ValueError(msg) from None
        if not (_is_number(entry.index) and _is_number(entry.token) and _is_holder(entry.holder)):
            msg = "index, token or holder is invalid"
            raise ValueError(msg)
        return entry


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12


def _is_holder(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(it, str) for it in value.values())


def entry_name(index: int) -> str:
    """Return the file name of the entry with the given index."""
    return f"journal/{index:012d}.json"


class Journal:
    """Reads the last entry of a journal and writes the next one."""

    def __init__(self, storage: Storage) -> None:
        """Prepare access to a journal; nothing is read yet."""
        self.storage = storage

    def last(self) -> Entry | None:
        """Return the last entry; None if the journal is empty.

        Raises:
            StorageUnavailableError: The storage does not answer, or the last file is not an entry.
        """
        names = self._names()
        if not names:
            return None
        content = self.storage.read(names[-1])
        if content is None:  # other processes wrote hundreds of entries and pruned this one
            return self.last()
        try:
            return Entry.from_bytes(content)
        except ValueError as error:
            advice = (
                "restore the file from a backup, or remove it to continue from the entry before it"
            )
            raise StorageUnavailableError(
                f"is not a journal entry ({error})", names[-1], advice
            ) from None

    def write_after(
        self,
        before: Entry | None,
        kind: EntryKind,
        holder: dict[str, str],
        state: State,
        token: int | None = None,
    ) -> Entry:
        """Write the journal's next entry after the entry `before`.

        Args:
            before: The last entry that the caller knows; None for an empty journal.
            kind: Kind of the new entry.
            holder: Tags that identify the calling process.
            state: State of the retraining after the new entry.
            token: Index of the caller's `acquired` entry, which serves as fencing token; None if
                this call writes the `acquired` entry.

        Raises:
            LeaseLostError: `before` is not the last entry.
            StorageUnavailableError: The storage does not answer; the entry may have been written
                nevertheless.
        """
        index = before.index + 1 if before else 1
        entry = Entry(index, kind, token or index, holder, state, uuid.uuid4().hex)
        if not self.storage.create(entry.name, entry.as_bytes()):
            raise self._lost(index)
        # Old entries are pruned, so the number of an old entry may be free again. A writer that
        # used such a number has lost the lease, because its entry is not the last one.
        if self._names()[-1] > entry.name:
            raise self._lost(index)
        return entry

    def prune(self, last: Entry) -> None:
        """Remove entries and heartbeats whose number is more than `_KEPT_ENTRIES` below the number
        of the last entry.
        """
        for folder in ("journal", "heartbeats"):
            for name in self.storage.names(folder):
                number = name.rpartition("/")[2].partition(".")[0]
                if number.isdecimal() and int(number) < last.index - _KEPT_ENTRIES:
                    self.storage.remove(name)

    def remove(self) -> None:
        """Remove all files of the journal.

        The entries are removed last, and the latest entry at the very end, so that an incomplete
        removal does not look like an empty journal.
        """
        for folder in ("set_aside", "monitoring", "heartbeats", "journal"):
            for name in self.storage.names(folder):
                self.storage.remove(name)

    def _names(self) -> list[str]:
        """Return the names of the entries' files, ignoring all other files."""
        return [name for name in self.storage.names("journal") if _NAME.fullmatch(name)]

    @staticmethod
    def _lost(index: int) -> LeaseLostError:
        return LeaseLostError(
            f"another process has taken over the lease (entry {index} of the journal exists)",
            next_step="the decisions of that process count; rerun the command",
        )
