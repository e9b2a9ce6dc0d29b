"""What the driver makes of the news: each event once, in the order of the tasks, and what was lost
read from the stage store.
"""

from __future__ import annotations

import logging

from orchestrator.stages import Stage, Work
from orchestrator.stages.events import (
    EpochFinished,
    FeaturesComputed,
    StageEvent,
    StageFinished,
    StageListener,
    StageStarted,
)
from orchestrator.training.reports import EpochReport

logger = logging.getLogger(__name__)


class Account:
    """Passes events on.

    A worker that was started again tells of its finished epochs again; a board that has died has
    taken news along. A lane turns to a stage only when all earlier ones are stored, so whatever is
    missing of these can be told from the store.
    """

    def __init__(self, work: Work, listener: StageListener) -> None:
        """Remembers what is stored already.

        Args:
            work: What is computed.
            listener: Receives the events.
        """
        self._work = work
        self._listener = listener
        self._stages = {stage.name: stage for stage in work.stages}
        self._stored_before = {
            stage.name for stage in work.stages if work.store.values_of(stage.key) is not None
        }
        self._known: set[tuple[str, ...]] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been told yet."""
        return not self._known

    def take(self, event: StageEvent) -> None:
        """Passes on an event, after what should have come before it."""
        stage = self._stages[event.stage]
        for earlier in self._work.stages:
            if earlier.role == stage.role and earlier.task.index < stage.task.index:
                self._tell_from_store(earlier)
        if isinstance(event, StageStarted) and self._knows(event) and not self._has_finished(stage):
            logger.warning("%s: its workers were started again", event.stage)
        self._tell_once(event)

    def complete(self) -> None:
        """Tells whatever is missing when both lanes are done."""
        for stage in self._work.stages:
            self._tell_from_store(stage)

    def _tell_from_store(self, stage: Stage) -> None:
        if self._has_finished(stage):
            return
        values = self._work.artifact_of(stage).values
        self._tell_once(StageStarted(stage.name))
        for report in values["epochs"]:
            self._tell_once(EpochFinished(stage.name, EpochReport(**report)))
        cached = stage.name in self._stored_before
        self._tell_once(
            StageFinished(stage.name, values["seconds"], values["num_train_workers"], cached)
        )

    def _tell_once(self, event: StageEvent) -> None:
        if not self._knows(event):
            self._known.add(_identity(event))
            self._listener(event)

    def _knows(self, event: StageEvent) -> bool:
        return _identity(event) in self._known

    def _has_finished(self, stage: Stage) -> bool:
        return (StageFinished.__name__, stage.name) in self._known


def _identity(event: StageEvent) -> tuple[str, ...]:
    within: tuple[str, ...] = ()
    if isinstance(event, EpochFinished):
        within = (event.report.phase, str(event.report.epoch))
    elif isinstance(event, FeaturesComputed):
        within = (str(event.num_done), str(event.num_images))
    return (type(event).__name__, event.stage, *within)
