"""Replays: the ticks over past arrivals in one order, as values that are stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NOT_JUDGED = ("nothing_to_do", "locked")
"""Outcomes of ticks in which neither the gate nor a reaction judged the arrivals."""


@dataclass(frozen=True)
class ReplayedTick:
    """Result of one tick.

    Attributes:
        arrival: Name of the arrival that this tick was the first to find.
        date: Time at which that arrival was written, in ISO format.
        classes: Classes of that arrival.
        num_images: Number of its images.
        num_wrong: Number of wrong labels injected into it.
        outcome: A value of `RetrainingOutcome`.
        reason: The reason, as one sentence.
        findings: As in summary.json.
        gate: Conditions of the gate, as in summary.json.
        learned_wrong: Whether the champion after this tick, but not the one before it, has learned
            from the file with wrong labels.
        seconds: Duration of the tick, including stages loaded from the store.
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
    """Plan of one replay.

    Attributes:
        setting: The override that makes this replay's gate; empty means the file's own setting.
        order: Positions of the arrivals, in the order of the ticks.
        share: Share of wrong labels; 0 means none.
        target: Position in `order` of the arrival that gets wrong labels; None means no arrival.
    """

    setting: str
    order: tuple[int, ...]
    share: float = 0.0
    target: int | None = None


@dataclass(frozen=True)
class Replay:
    """Result of a planned replay.

    Attributes:
        planned: The plan.
        ticks: The ticks, in order.
    """

    planned: PlannedReplay
    ticks: tuple[ReplayedTick, ...]

    def as_json(self) -> dict[str, Any]:
        """Return a JSON value that `from_json` can read."""
        return {**asdict(self.planned), "ticks": [asdict(tick) for tick in self.ticks]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Replay:
        """Return the replay that `as_json` serialised.

        Raises:
            KeyError: A value is missing.
            TypeError: A value was written by another version of this program.
        """
        plan = {name: value for name, value in values.items() if name != "ticks"}
        planned = PlannedReplay(**{**plan, "order": tuple(plan["order"])})
        ticks = (
            ReplayedTick(**{**tick, "classes": tuple(tick["classes"])}) for tick in values["ticks"]
        )
        return cls(planned, tuple(ticks))
