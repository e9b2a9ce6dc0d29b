"""Define the state of a retraining, which each journal entry stores.

The state consists of the model pairs (teacher and student) that have aliases, the held candidate
(one about which the gate could not decide), and the candidates whose files are skipped or tried
again.
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
    """The versions of a teacher and of its student in the registry.

    Attributes:
        teacher: Version of the model NAME-teacher.
        student: Version of the model NAME-student.
    """

    teacher: str
    student: str

    def __str__(self) -> str:
        return f"teacher version {self.teacher}, student version {self.student}"


@dataclass(frozen=True)
class Note:
    """A new state of a model pair, which is first recorded in the journal and then in the registry.

    Attributes:
        pair: The versions of teacher and student.
        state: The new state.
        reason: Reason for the new state.
        by: Who decided: `gate`, or a person as user@host. Empty if the state follows from a
            decision about another version.
    """

    pair: ModelPair
    state: VersionState
    reason: str
    by: str = ""


@dataclass(frozen=True)
class Held:
    """A candidate about which the gate could not decide, and which is kept for a later verdict.

    Attributes:
        pair: Versions of the candidate, which continued learning from the champion.
        is_asked: Whether a person must decide; otherwise the gate judges again when more held-out
            images have arrived.
        reason: Why the gate could not decide.
        judged_files: Identifiers (see `file_id`) of files that arrived after the candidate learned
            and that were already used to judge it.
    """

    pair: ModelPair
    is_asked: bool
    reason: str
    judged_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """The last candidate that was rejected although its data was not to blame; its files count as
    new.

    Attributes:
        pair: Versions of the candidate.
        at: Time of the rejection, in seconds since 1970.
        files: Identifiers of the new files that the candidate learned from (see `file_id`).
        num_retries: Number of retries with the same files, each with another seed.
        settings: Digest of the settings of the experiment and the gate by which the candidate was
            trained and judged.
    """

    pair: ModelPair
    at: float
    files: tuple[str, ...] = ()
    num_retries: int = 0
    settings: str = ""


@dataclass(frozen=True)
class PutAside:
    """A candidate that was rejected for its data, or rolled back; its files are skipped.

    Attributes:
        pair: Versions of the candidate.
        files: Identifiers of the files to skip (see `file_id`). Empty means all files of the
            candidate that the champion has not learned from.
    """

    pair: ModelPair
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """State of a retraining: the pairs of teacher and student that have aliases, and the candidates
    without a final decision.

    Journals of earlier versions of this program lack the fields after `late_tellers`.

    Attributes:
        champion: The pair in use; None before the first champion.
        previous: The champion before the present one; None if there was none.
        challenger: The held candidate. Without a held candidate, the last rejected or rolled-back
            pair.
        is_settled: Whether the registry agrees with this state.
        late_tellers: Pairs to which a former lease holder may still move the champion's alias. Such
            a lease holder was suspended while it updated the registry, and counted as dead.
        held: The candidate about which the gate could not decide; None if there is none.
        put_aside: Candidates whose files are skipped; all are newer than the champion.
        tried: The last candidate whose files are tried again; None if there is none.
        num_verdicts: Number of gate verdicts since the last final decision.
        notes: New states of pairs, to be written to the registry. Notes about the champion and the
            held candidate are kept; other notes are dropped after they are written.
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
        """Return the state that a journal entry stores as JSON values."""
        pairs = {
            name: _pair(values[name]) if values[name] else None
            for name in ("champion", "previous", "challenger")
        }
        challenger = pairs["challenger"]
        # Journals of earlier program versions lack `put_aside`. Their `challenger` is the last
        # rejected or rolled-back pair, whose files are skipped.
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
    """Return the identifier of a file in a state: a prefix of its digest, to keep journal entries
    small.
    """
    return sha256[:_ID_LENGTH]


def _pair(values: Mapping[str, Any]) -> ModelPair:
    """Return a model pair, after checking the versions, because versions become parts of paths and
    URLs.
    """
    for version in values.values():
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            msg = f"{version!r:.40} is not a version of a model"
            raise ValueError(msg)
    return ModelPair(**values)


def _record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record: the model pair is parsed, and JSON lists become tuples."""
    plain = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return {**plain, "pair": _pair(values["pair"])}


def _note(values: Mapping[str, Any]) -> Note:
    return Note(**{**_record(values), "state": VersionState(values["state"])})
