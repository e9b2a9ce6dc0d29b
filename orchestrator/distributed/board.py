"""The notice board of a run: a small named actor on which workers post what happens, and others
read it.

It is news, never truth: what counts is in the stage store, and is there before it is posted. A
board that dies is started again by Ray, empty; who waits for a stage then finds it in the store.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from orchestrator.distributed.named_actor import named_actor
from orchestrator.distributed.notices import Notices
from orchestrator.stages import Stage, StageStore
from orchestrator.stages.events import (
    EpochFinished,
    FeaturesComputed,
    StageEvent,
    event_as_json,
    event_from_json,
)

_POST_SECONDS = 0.5
_LOOK_AT_STORE_SECONDS = 10.0
_LISTEN_AGAIN_SECONDS = 1.0
_ANSWER_SECONDS = 30.0


class Board:
    """One process's access to the board."""

    def __init__(self, name: str) -> None:
        """Finds the board of this name, or puts it up.

        Args:
            name: Of this run alone.
        """
        self._actor = named_actor(Notices, name)
        self._incarnation = ""
        self._num_read = 0
        self._unposted: list[dict[str, Any]] = []
        self._posted_at = 0.0

    def post(self, event: StageEvent) -> None:
        """Posts an event and does not wait; short epochs are posted together: each message costs
        the learning some CPU.
        """
        self._unposted.append(event_as_json(event))
        if (
            isinstance(event, EpochFinished | FeaturesComputed)
            and time.monotonic() < self._posted_at + _POST_SECONDS
        ):
            return
        self._actor.post.remote(self._unposted)
        self._unposted, self._posted_at = [], time.monotonic()

    def news(self, patience_seconds: float) -> list[StageEvent]:
        """What was posted since the last time; nothing after waiting in vain, or while the board
        does not answer.
        """
        question = self._actor.since.remote(self._incarnation, self._num_read, patience_seconds)
        try:
            incarnation, notices = ray.get(question, timeout=patience_seconds + _ANSWER_SECONDS)
        except (RayActorError, GetTimeoutError):
            time.sleep(_LISTEN_AGAIN_SECONDS)
            return []
        if incarnation != self._incarnation:
            self._incarnation, self._num_read = incarnation, 0
        self._num_read += len(notices)
        return [event_from_json(notice) for notice in notices]

    def is_stored(self, stage: Stage, store: StageStore) -> bool:
        """Whether a stage is in the store, after waiting some seconds for that: on the news, or,
        should that be lost, on a look.
        """
        question = self._actor.has_finished.remote(stage.name, _LOOK_AT_STORE_SECONDS)
        try:
            if ray.get(question, timeout=_LOOK_AT_STORE_SECONDS + _ANSWER_SECONDS):
                return True
        except (RayActorError, GetTimeoutError):
            time.sleep(_LISTEN_AGAIN_SECONDS)  # the board is about to be started again
        return store.load(stage.key) is not None
