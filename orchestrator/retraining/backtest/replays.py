"""A replay: the ticks of past arrivals in one order, as values that are kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NOT_JUDGED = ("nothing_to_do", "locked")
"""Outcomes of ticks in which neither the gate nor a reaction has judged what arrived."""


@dataclass(frozen=True)
class ReplayedTick:
    """Hold what one tick did.

    Attributes:
        arrival: Name of the arrival that it found first.
        date: When that arrival was written, in ISO format.
        classes: Of that arrival.
        num_images: Of that arrival.
        num_wrong: Wrong labels that were injected into it.
        outcome: In the word of `RetrainingOutcome`.
        reason: In a sentence.
        findings: As in summary.json.
        gate: The conditions, as in summary.json.
        learned_wrong: Whether the champion after this tick, and not the one before, has learned
            from the file with wrong labels.
        seconds: How long the tick took, stages from the store included.
    """

    arrival: str
    date: str
    classes: tuple[str, ...]
    num_images: int
    num_wrong: int
    outcome: str
    reason: str
    findings: Sequence[Mapping[str, Any]]
    gate: Sequence[Mapping[str, Any]]
    learned_wrong: bool
    seconds: float


@dataclass(frozen=True)
class PlannedReplay:
    """Say what to replay.

    Attributes:
        setting: The override that makes this replay's gate; empty for the file as it is.
        order: Positions of the arrivals, in the order of the ticks.
        share: Of wrong labels; 0 means none.
        target: Position in `order` of the arrival that gets wrong labels; None for none.
    """

    setting: str
    order: tuple[int, ...]
    share: float = 0.0
    target: int | None = None


@dataclass(frozen=True)
class Replay:
    """Hold what the ticks of a planned replay did.

    Attributes:
        planned: What was replayed.
        ticks: In their order.
    """

    planned: PlannedReplay
    ticks: tuple[ReplayedTick, ...]

    def as_json(self) -> dict[str, Any]:
        """Return a value that `from_json` reads."""
        return {**asdict(self.planned), "ticks": [asdict(tick) for tick in self.ticks]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Replay:
        """Return what `as_json` was made of.

        Raises:
            KeyError: A value is missing.
            TypeError: A value of another version of this program.
        """
        plan = {name: value for name, value in values.items() if name != "ticks"}
        planned = PlannedReplay(**{**plan, "order": tuple(plan["order"])})
        ticks = (
            ReplayedTick(**{**tick, "classes": tuple(tick["classes"])}) for tick in values["ticks"]
        )
        return cls(planned, tuple(ticks))
