"""What is told of stages while they are computed, wherever that happens. As JSON it crosses from a
worker to the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class StageStarted:
    """A worker has turned to a stage.

    Attributes:
        stage: Its name, such as `teacher[0]`.
    """

    stage: str


@dataclass(frozen=True)
class FeaturesComputed:
    """A pre-trained extractor has gone through some more of the images that a stage needs.

    Attributes:
        stage: Its name.
        num_done: Images it has gone through; each view counts.
        num_images: Of how many.
    """

    stage: str
    num_done: int
    num_images: int


@dataclass(frozen=True)
class EpochFinished:
    """One epoch of a stage is over.

    Attributes:
        stage: Its name.
        report: What the epoch was like.
    """

    stage: str
    report: EpochReport


@dataclass(frozen=True)
class StageFinished:
    """A stage and its evaluation are in the store.

    Attributes:
        stage: Its name.
        seconds: Wall-clock time that its workers spent on it.
        num_train_workers: How many they were.
        cached: Whether it had been there already.
    """

    stage: str
    seconds: float
    num_train_workers: int
    cached: bool


StageEvent = StageStarted | FeaturesComputed | EpochFinished | StageFinished
StageListener = Callable[[StageEvent], None]

_KINDS: dict[str, type[StageEvent]] = {
    kind.__name__: kind for kind in (StageStarted, FeaturesComputed, EpochFinished, StageFinished)
}


def event_as_json(event: StageEvent) -> dict[str, Any]:
    """Plain values."""
    return {"event": type(event).__name__, **asdict(event)}


def event_from_json(values: dict[str, Any]) -> StageEvent:
    """What `event_as_json` was made of."""
    fields = {name: value for name, value in values.items() if name != "event"}
    if "report" in fields:
        fields["report"] = EpochReport(**fields["report"])
    return _KINDS[values["event"]](**fields)
