"""Pass the events of an event channel to the listener of a run, each event once and in task order.
Lost events are restored from the stage store.
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


class EventReplay:
    """A `StageListener` that passes each event on once, and replays missing events.

    A restarted worker sends the events of its finished epochs again. If the actor of the event
    channel dies, events are missing. A lane starts a stage only when all earlier stages of the lane
    are stored, so missing events of earlier stages can be replayed from the store.
    """

    def __init__(self, work: Work, listener: StageListener) -> None:
        """Record which stages are stored already.

        Args:
            work: The stages that the run computes, with their store.
            listener: Receives the events, complete and without repetition.
        """
        self._work = work
        self._listener = listener
        self._stages = {stage.name: stage for stage in work.stages}
        self._stored_before = {
            stage.name for stage in work.stages if work.store.values_of(stage.key) is not None
        }
        self._passed_on: set[tuple[str, ...]] = set()

    @property
    def is_empty(self) -> bool:
        """Return whether no event has been passed on yet."""
        return not self._passed_on

    def __call__(self, event: StageEvent) -> None:
        """Pass on an event, after any missing events before it."""
        stage = self._stages[event.stage]
        for earlier in self._work.stages:
            if earlier.role == stage.role and earlier.task.index < stage.task.index:
                self._replay(earlier)
        if (
            isinstance(event, StageStarted)
            and self._is_passed_on(event)
            and not self._has_finished(stage)
        ):
            logger.warning("%s: its workers were restarted", event.stage)
        self._pass_on_once(event)

    def finish(self) -> None:
        """Replay missing events from the store. Call this method after all stages are learned."""
        for stage in self._work.stages:
            self._replay(stage)

    def _replay(self, stage: Stage) -> None:
        if self._has_finished(stage):
            return
        values = self._work.artifact_of(stage).values
        self._pass_on_once(StageStarted(stage.name))
        for report in values["epochs"]:
            self._pass_on_once(EpochFinished(stage.name, EpochReport(**report)))
        cached = stage.name in self._stored_before
        self._pass_on_once(
            StageFinished(stage.name, values["seconds"], values["num_train_workers"], cached)
        )

    def _pass_on_once(self, event: StageEvent) -> None:
        if not self._is_passed_on(event):
            self._passed_on.add(_identity(event))
            self._listener(event)

    def _is_passed_on(self, event: StageEvent) -> bool:
        return _identity(event) in self._passed_on

    def _has_finished(self, stage: Stage) -> bool:
        return (StageFinished.__name__, stage.name) in self._passed_on


def _identity(event: StageEvent) -> tuple[str, ...]:
    within: tuple[str, ...] = ()
    if isinstance(event, EpochFinished):
        within = (event.report.phase, str(event.report.epoch))
    elif isinstance(event, FeaturesComputed):
        within = (str(event.num_done), str(event.num_images))
    return (type(event).__name__, event.stage, *within)
