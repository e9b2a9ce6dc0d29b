"""Events of stages while they are computed, in this process or in a worker, and their JSON form.

An event is a value that says what happened; a listener receives events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class StageStarted:
    """A worker has started a stage.

    Attributes:
        stage: Its name, such as `teacher[0]`.
    """

    stage: str


@dataclass(frozen=True)
class FeaturesComputed:
    """A pre-trained extractor has processed more of the images that a stage needs.

    Attributes:
        stage: Its name.
        num_done: Images processed so far; each view counts.
        num_images: Images in all.
    """

    stage: str
    num_done: int
    num_images: int


@dataclass(frozen=True)
class EpochFinished:
    """One epoch of a stage has finished.

    Attributes:
        stage: Its name.
        report: Phase, number and metrics of the epoch.
    """

    stage: str
    report: EpochReport


@dataclass(frozen=True)
class StageFinished:
    """A stage and its evaluation are in the store.

    Attributes:
        stage: Its name.
        seconds: Wall-clock time that its workers spent on it.
        num_train_workers: Number of these workers.
        cached: Whether the store had it before.
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
    """Return the event as plain values."""
    return {"event": type(event).__name__, **asdict(event)}


def event_from_json(values: dict[str, Any]) -> StageEvent:
    """Return the event that `event_as_json` was given."""
    fields = {name: value for name, value in values.items() if name != "event"}
    if "report" in fields:
        fields["report"] = EpochReport(**fields["report"])
    return _KINDS[values["event"]](**fields)
