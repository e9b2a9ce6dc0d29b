"""Define the events of a stage that is being computed, and the JSON form of these events.

An event is a value that describes what happened. A listener is a function that receives events.
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
        stage: Name of the stage, such as `teacher[0]`.
    """

    stage: str


@dataclass(frozen=True)
class FeaturesComputed:
    """A pre-trained extractor has processed more of the images that a stage needs.

    Attributes:
        stage: Name of the stage.
        num_done: Number of images processed so far; each augmented view counts as an image.
        num_images: Total number of images.
    """

    stage: str
    num_done: int
    num_images: int


@dataclass(frozen=True)
class EpochFinished:
    """One epoch of a stage has finished.

    Attributes:
        stage: Name of the stage.
        report: Phase, number and metrics of the epoch.
    """

    stage: str
    report: EpochReport


@dataclass(frozen=True)
class StageFinished:
    """A stage and its evaluation are in the store.

    Attributes:
        stage: Name of the stage.
        seconds: Wall-clock time for which workers computed the stage.
        num_train_workers: Number of workers that computed the stage.
        cached: Whether the stage was in the store before.
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
    """Return the event as JSON values, with the name of the event's class."""
    return {"event": type(event).__name__, **asdict(event)}


def event_from_json(values: dict[str, Any]) -> StageEvent:
    """Rebuild the event that `event_as_json` returned."""
    fields = {name: value for name, value in values.items() if name != "event"}
    if "report" in fields:
        fields["report"] = EpochReport(**fields["report"])
    return _KINDS[values["event"]](**fields)
