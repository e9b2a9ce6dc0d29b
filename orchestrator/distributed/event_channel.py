"""Carry the events of a run from its workers to its driver, and between the lanes of the run,
through a small named actor. A lane is the group of workers that learns the stages of one role.

Results do not depend on events, so an event may be lost: a stage is in the stage store before its
last event is sent. If the actor dies, Ray restarts the actor without its events. A lane that waits
for a stage then finds the stage in the store.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from orchestrator.distributed.event_buffer import EventBuffer
from orchestrator.distributed.named_actor import named_actor
from orchestrator.stages import Stage, StageStore
from orchestrator.stages.events import (
    EpochFinished,
    FeaturesComputed,
    StageEvent,
    event_as_json,
    event_from_json,
)

_SEND_SECONDS = 0.5
_LOOK_AT_STORE_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_ANSWER_SECONDS = 30.0


class EventChannel:
    """Connection of one process to the event channel of a run."""

    def __init__(self, name: str) -> None:
        """Find the channel opened under a name, or open a new one.

        Args:
            name: Name of the channel, unique to the run.
        """
        self._actor = named_actor(EventBuffer, name)
        self._incarnation = ""
        self._num_received = 0
        self._unsent: list[dict[str, Any]] = []
        self._sent_at = 0.0

    def send(self, event: StageEvent) -> None:
        """Send an event without waiting for its arrival.

        Progress events that follow each other within half a second are sent in one message, because
        each message takes CPU time from the training.
        """
        self._unsent.append(event_as_json(event))
        if (
            isinstance(event, EpochFinished | FeaturesComputed)
            and time.monotonic() < self._sent_at + _SEND_SECONDS
        ):
            return
        self._actor.append.remote(self._unsent)
        self._unsent, self._sent_at = [], time.monotonic()

    def receive(self, timeout_seconds: float) -> list[StageEvent]:
        """Return the events that have arrived since the last call; if there are none, wait for the
        next event. Return an empty list after the timeout, or if the channel does not answer.
        """
        question = self._actor.since.remote(self._incarnation, self._num_received, timeout_seconds)
        try:
            incarnation, events = ray.get(question, timeout=timeout_seconds + _ANSWER_SECONDS)
        except (RayActorError, GetTimeoutError):
            time.sleep(_RETRY_SECONDS)
            return []
        if incarnation != self._incarnation:
            self._incarnation, self._num_received = incarnation, 0
        self._num_received += len(events)
        return [event_from_json(event) for event in events]

    def is_stored(self, stage: Stage, store: StageStore) -> bool:
        """Return whether a stage is in the store; wait some seconds for the stage's last event.

        Waiting for the event is faster than reading the store again and again. If the event does
        not arrive, the store is read once.
        """
        question = self._actor.has_finished.remote(stage.name, _LOOK_AT_STORE_SECONDS)
        try:
            if ray.get(question, timeout=_LOOK_AT_STORE_SECONDS + _ANSWER_SECONDS):
                return True
        except (RayActorError, GetTimeoutError):
            time.sleep(_RETRY_SECONDS)  # give Ray time to restart the actor
        return store.load(stage.key) is not None
