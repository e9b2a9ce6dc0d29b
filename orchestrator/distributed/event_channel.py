"""Carry the events of a run from its workers to its driver, and between lanes, through a small
named actor.

Events may be lost, and no result depends on them: a stage is in the stage store before the event of
its end is sent. If the actor dies, Ray restarts it without its events; a lane that waits for a
stage then finds the stage in the store.
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
    """One process's access to the channel."""

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

        The events of short epochs are sent in one message, because each message takes CPU time from
        the learning.
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
        """Return the events since the last call, after waiting for at least one. Return none if the
        timeout ends or the channel does not answer.
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
        """Return whether a stage is in the store, after waiting some seconds for the event of its
        end.

        The event usually arrives before repeated looks into the store would find the stage. If the
        event is lost, the content of the store decides.
        """
        question = self._actor.has_finished.remote(stage.name, _LOOK_AT_STORE_SECONDS)
        try:
            if ray.get(question, timeout=_LOOK_AT_STORE_SECONDS + _ANSWER_SECONDS):
                return True
        except (RayActorError, GetTimeoutError):
            time.sleep(_RETRY_SECONDS)  # wait until Ray has restarted the actor
        return store.load(stage.key) is not None
