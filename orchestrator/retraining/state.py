"""The state of a retraining, as every entry of its journal has it: who holds which alias, what is
held, and what is tried again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.retraining.version_states import VersionState

GATE = "gate"
_ID_LENGTH = 16
_VERSION = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class ModelPair:
    """A teacher and its student in the registry.

    Attributes:
        teacher: Version of NAME-teacher.
        student: Version of NAME-student.
    """

    teacher: str
    student: str

    def __str__(self) -> str:
        return f"teacher version {self.teacher}, student version {self.student}"


@dataclass(frozen=True)
class Note:
    """A version's new state, which the registry is told after the journal.

    Attributes:
        pair: The versions.
        state: Their state from here on.
        reason: Why.
        by: Who has decided: `gate`, or a person as user@host; empty for what only follows from a
            decision about another version.
    """

    pair: ModelPair
    state: VersionState
    reason: str
    by: str = ""


@dataclass(frozen=True)
class Held:
    """The candidate about which the gate could not decide.

    Attributes:
        pair: Its versions; it has learned on from the champion.
        is_asked: Whether a person decides; otherwise more held-out images may.
        reason: What is not known, or to be decided.
        judged_files: Of the files that have arrived since it learned, those by whose held-out
            images it was judged already (see `file_id`).
    """

    pair: ModelPair
    is_asked: bool
    reason: str
    judged_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """The last candidate that was rejected for no fault of its data: its files count as new.

    Attributes:
        pair: Its versions.
        at: When it was rejected, in seconds since 1970.
        files: It learned from these new files (see `file_id`).
        num_retries: How often the same files were tried again, each time with another seed.
        settings: Identity of the experiment and the gate that it was learned and judged by.
    """

    pair: ModelPair
    at: float
    files: tuple[str, ...] = ()
    num_retries: int = 0
    settings: str = ""


@dataclass(frozen=True)
class PutAside:
    """A candidate that was rejected for its data, or rolled back: its files are left out.

    Attributes:
        pair: Its versions.
        files: Those that are left out (see `file_id`); empty means all from which the champion has
            not learned.
    """

    pair: ModelPair
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """Who holds which alias, and what is not decided yet.

    Journals written before candidates could be held have none of the fields after `late_tellers`.

    Attributes:
        champion: The models in use; None before the first.
        previous: The champion before it.
        challenger: The held candidate; without one, what was rejected, or rolled back, last.
        is_settled: Whether the registry has been told.
        late_tellers: Champions that a holder, taken for dead while it told the registry, may still
            make champion there when it wakes.
        held: The candidate about which the gate could not decide; None where there is none.
        put_aside: Whose files are left out; all came after the champion.
        tried: The last candidate whose files are tried again; None where there is none.
        num_verdicts: How often the gate has judged what is not decided yet.
        notes: What the registry has to say about champion and held candidate, and, until it was
            told, about others.
    """

    champion: ModelPair | None = None
    previous: ModelPair | None = None
    challenger: ModelPair | None = None
    is_settled: bool = True
    late_tellers: tuple[ModelPair, ...] = ()
    held: Held | None = None
    put_aside: tuple[PutAside, ...] = ()
    tried: Tried | None = None
    num_verdicts: int = 0
    notes: tuple[Note, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> State:
        """Return the state of an entry, as JSON has it."""
        pairs = {
            name: _pair(values[name]) if values[name] else None
            for name in ("champion", "previous", "challenger")
        }
        challenger = pairs["challenger"]
        # earlier journals: the files of whatever was rejected, or rolled back, last are left out
        put_aside = (
            tuple(PutAside(**_record(found)) for found in values["put_aside"])
            if "put_aside" in values
            else (PutAside(challenger),)
            if challenger
            else ()
        )
        held, tried = values.get("held"), values.get("tried")
        return cls(
            **pairs,
            is_settled=values["is_settled"],
            late_tellers=tuple(map(_pair, values["late_tellers"])),
            held=Held(**_record(held)) if held else None,
            put_aside=put_aside,
            tried=Tried(**_record(tried)) if tried else None,
            num_verdicts=values.get("num_verdicts", 0),
            notes=tuple(_note(note) for note in values.get("notes", ())),
        )


def file_id(sha256: str) -> str:
    """Return what names a file in a state: the begin of its digest, as every entry has them all."""
    return sha256[:_ID_LENGTH]


def _pair(values: Mapping[str, Any]) -> ModelPair:
    """Return the pair; its versions become parts of paths and addresses."""
    for version in values.values():
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            msg = f"{version!r:.40} is no version of a model"
            raise ValueError(msg)
    return ModelPair(**values)


def _record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record with a pair; JSON has lists where it has tuples."""
    plain = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return {**plain, "pair": _pair(values["pair"])}


def _note(values: Mapping[str, Any]) -> Note:
    return Note(**{**_record(values), "state": VersionState(values["state"])})
