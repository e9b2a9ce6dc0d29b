"""The state of a retraining, as each entry of its journal stores it: the holders of the aliases,
the held candidate, and the rejected candidate whose files are tried again.
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
    """A version's new state, to be written to the registry after the journal.

    Attributes:
        pair: The versions.
        state: New state of the versions.
        reason: Reason for the new state.
        by: Who decided: `gate`, or a person as user@host; empty if the state only follows from a
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
        pair: Versions of the candidate, which continued learning from the champion.
        is_asked: Whether a person decides; otherwise the gate may decide on further held-out
            images.
        reason: Why the gate could not decide.
        judged_files: Files that arrived after the candidate learned, and whose held-out images were
            already used to judge the candidate (see `file_id`).
    """

    pair: ModelPair
    is_asked: bool
    reason: str
    judged_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """The last candidate that was rejected for no fault of its data; its files count as new.

    Attributes:
        pair: Versions of the candidate.
        at: Time of the rejection, in seconds since 1970.
        files: New files that the candidate learned from (see `file_id`).
        num_retries: Number of retries with the same files, each with another seed.
        settings: Identity of the experiment and the gate by which the candidate was trained and
            judged.
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
        files: Files to skip (see `file_id`); empty means all from which the champion has not
            learned.
    """

    pair: ModelPair
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """Holders of the aliases, and candidates that are not decided yet.

    The fields after `late_tellers` are missing in journals of versions that could not hold
    candidates.

    Attributes:
        champion: The models in use; None before the first champion.
        previous: The champion before the present one; None if there was none.
        challenger: The held candidate; without one, the last rejected or rolled-back pair.
        is_settled: Whether the registry agrees with this state.
        late_tellers: Versions to which a former holder of the lease may still move the champion's
            alias: it counted as dead while it updated the registry, and may wake up.
        held: The candidate about which the gate could not decide; None if there is none.
        put_aside: Candidates whose files are skipped; all are newer than the champion.
        tried: The last candidate whose files are tried again; None if there is none.
        num_verdicts: Number of verdicts of the gate on candidates that are not decided yet.
        notes: Notes for the registry about champion and held candidate and, until they are written
            there, about other versions.
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
        """Return the state from its JSON values."""
        pairs = {
            name: _pair(values[name]) if values[name] else None
            for name in ("champion", "previous", "challenger")
        }
        challenger = pairs["challenger"]
        # In journals of earlier versions, this names the pair that was last rejected or rolled
        # back, whose files are skipped.
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
    """Return a file's short name in a state: the beginning of its digest, to keep entries small."""
    return sha256[:_ID_LENGTH]


def _pair(values: Mapping[str, Any]) -> ModelPair:
    """Return the pair, with its versions checked: the versions become parts of paths and
    addresses.
    """
    for version in values.values():
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            msg = f"{version!r:.40} is not a version of a model"
            raise ValueError(msg)
    return ModelPair(**values)


def _record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record with a pair; JSON stores its tuples as lists."""
    plain = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return {**plain, "pair": _pair(values["pair"])}


def _note(values: Mapping[str, Any]) -> Note:
    return Note(**{**_record(values), "state": VersionState(values["state"])})
