"""Define the plan and the result of a replay, and convert the result to and from JSON.

A replay delivers groups of past files in a given order, and runs one retraining after each group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NOT_JUDGED = ("nothing_to_do", "locked")
"""Outcomes of ticks (runs of `orchestrator retrain`) in which neither the gate nor a configured
reaction judged new files.
"""


@dataclass(frozen=True)
class ReplayedTick:
    """Result of one tick of a replay.

    Attributes:
        arrival: Name of the arrival (group of files) that was delivered just before this tick.
        date: Time at which the arrival was written, in ISO format.
        classes: Classes of the arrival.
        num_images: Number of images of the arrival.
        num_wrong: Number of wrong labels injected into the arrival.
        outcome: The outcome, as one word (see `RetrainingOutcome`).
        reason: The reason for the outcome, as one sentence.
        findings: The tick's findings, in the format of summary.json.
        gate: Conditions of the gate, in the format of summary.json.
        learned_wrong: Whether this tick promoted a candidate that learned from the wrong labels,
            while the champion before it did not.
        seconds: Duration of the tick, including the time to load stages from the store.
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
    """Plan of one replay, in which the labels of one arrival may be made wrong on purpose.

    Attributes:
        setting: Override of the gate's configuration; empty for the gate of the retraining file.
        order: For each tick, the index of the arrival (group of files) to deliver before the tick.
        share: Share of the images of the target arrival's new classes that get a wrong label; 0
            means none. At most 1 - 1/k of the labels of k new classes become wrong.
        target: Position of the target arrival in `order`; None if all labels are left as they are.
    """

    setting: str
    order: tuple[int, ...]
    share: float = 0.0
    target: int | None = None


@dataclass(frozen=True)
class Replay:
    """Result of a planned replay.

    Attributes:
        planned: The plan of the replay.
        ticks: Results of the ticks, in the order in which they ran.
    """

    planned: PlannedReplay
    ticks: tuple[ReplayedTick, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the replay as a JSON value that `from_json` can read."""
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
