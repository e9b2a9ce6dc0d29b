"""The journal: who works, and which model is the champion, as numbered entries of which each can be
written only once.

```
journal/000000000041.json      acquired   by a tick: it works while its heartbeat beats
journal/000000000042.json      promoted   the champion is now another one; also held, rejected, …
journal/000000000043.json      settled    the registry says so, too
journal/000000000044.json      released
heartbeats/000000000041        written again and again by the holder of 41
```

Entry n + 1 is written by whoever knows entry n to be the last. So two ticks cannot both write it,
and a holder that slept while another took over cannot write anything any more: its next number is
taken. That number is the fence. Everything that must never be done by a stale holder is an entry
first, and told to the registry after; what the registry was not told because its teller died is
told by the next holder.
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
    """What an entry says."""

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
    """One entry.

    Attributes:
        index: Its number, from 1.
        kind: What it says.
        token: The number of its holder's `acquired` entry.
        holder: The process that wrote it, as tags (see `run_process`).
        state: Who holds which alias from here on.
        nonce: Tells this entry apart from what another process writes.
    """

    index: int
    kind: EntryKind
    token: int
    holder: dict[str, str]
    state: State
    nonce: str

    @property
    def name(self) -> str:
        """Of its file."""
        return entry_name(self.index)

    @property
    def heartbeat(self) -> str:
        """The file by which its holder shows that it lives."""
        return f"heartbeats/{self.token:012d}"

    def as_bytes(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Entry:
        """Return the entry that `as_bytes` was made of.

        Raises:
            ValueError: It was made of something else.
        """
        try:
            values: dict[str, Any] = json.loads(content)
            state = _STATE.validate_python(asdict(State.from_values(values["state"])))
            entry = cls(**{**values, "kind": EntryKind(values["kind"]), "state": state})
        except RecursionError:
            msg = "nested too deeply"
            raise ValueError(msg) from None
        except ValidationError as error:
            msg = f"its state is none: {error.errors()[0]['msg']}"
            raise ValueError(msg) from None
        except (AttributeError, LookupError, TypeError) as error:
            msg = f"{type(error).__name__}: {error}"
            raise ValueError(msg) from None
        if not (_is_number(entry.index) and _is_number(entry.token) and _is_holder(entry.holder)):
            msg = "index, token or holder is none"
            raise ValueError(msg)
        return entry


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12


def _is_holder(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(it, str) for it in value.values())


def entry_name(index: int) -> str:
    """The file of an entry."""
    return f"journal/{index:012d}.json"


class Journal:
    """Reads the last entry, and writes the next."""

    def __init__(self, storage: Storage) -> None:
        """Reads nothing yet."""
        self.storage = storage

    def last(self) -> Entry | None:
        """The last entry; None before the first.

        Raises:
            StorageUnavailableError: The storage does not answer, or what is there is no entry.
        """
        names = self._names()
        if not names:
            return None
        content = self.storage.read(names[-1])
        if content is None:  # only old ones are ever removed: someone has been faster by hundreds
            return self.last()
        try:
            return Entry.from_bytes(content)
        except ValueError as error:
            advice = "restore it from a backup, or remove it to go on from the one before"
            raise StorageUnavailableError(
                f"is no entry of a journal ({error})", names[-1], advice
            ) from None

    def write_after(
        self,
        before: Entry | None,
        kind: EntryKind,
        holder: dict[str, str],
        state: State,
        token: int | None = None,
    ) -> Entry:
        """Writes the entry that follows.

        Args:
            before: The last entry, as far as the caller knows.
            kind: What the new one says.
            holder: The caller.
            state: From here on.
            token: Of the caller; None for the entry by which it gets one.

        Raises:
            LeaseLostError: It was not the last one.
            StorageUnavailableError: The storage does not answer; the entry may have been written
                all the same.
        """
        index = before.index + 1 if before else 1
        entry = Entry(index, kind, token or index, holder, state, uuid.uuid4().hex)
        if not self.storage.create(entry.name, entry.as_bytes()):
            raise self._lost(index)
        # Old entries are removed: a place that is free again must not be taken for the next one.
        if self._names()[-1] > entry.name:
            raise self._lost(index)
        return entry

    def prune(self, last: Entry) -> None:
        """Removes entries, and heartbeats, that nobody needs any more."""
        for folder in ("journal", "heartbeats"):
            for name in self.storage.names(folder):
                number = name.rpartition("/")[2].partition(".")[0]
                if number.isdecimal() and int(number) < last.index - _KEPT_ENTRIES:
                    self.storage.remove(name)

    def remove(self) -> None:
        """Remove the whole journal, the last entry last: until then it is no empty one."""
        for folder in ("set_aside", "monitoring", "heartbeats", "journal"):
            for name in self.storage.names(folder):
                self.storage.remove(name)

    def _names(self) -> list[str]:
        """Return the files of the entries; whatever else lies there is none."""
        return [name for name in self.storage.names("journal") if _NAME.fullmatch(name)]

    @staticmethod
    def _lost(index: int) -> LeaseLostError:
        return LeaseLostError(
            f"another process has taken over (entry {index} of the journal is taken)",
            next_step="what it has done counts; run it again",
        )
