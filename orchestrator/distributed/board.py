"""The notice board of a run: a small named actor on which workers post what happens, and others read it.

It is news, never truth: what counts is in the stage store, and is there before it is posted. A board that dies is started again
by Ray, empty; who waits for a stage then finds it in the store.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.stages import Stage, StageStore
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished, event_as_json, event_from_json

_POST_SECONDS = 0.5
_LOOK_AT_STORE_SECONDS = 10.0
_LISTEN_AGAIN_SECONDS = 1.0
_ANSWER_SECONDS = 30.0


class _Notices:
    """The actor: what was posted, in order."""

    def __init__(self) -> None:
        self._incarnation = uuid.uuid4().hex
        self._posted: list[dict[str, Any]] = []
        self._finished: set[str] = set()
        self._has_grown = asyncio.Event()

    async def post(self, notices: list[dict[str, Any]]) -> None:
        self._posted += notices
        self._finished |= {notice["stage"] for notice in notices if notice["event"] == StageFinished.__name__}
        self._has_grown.set()
        self._has_grown = asyncio.Event()

    async def since(self, incarnation: str, number: int, patience_seconds: float) -> tuple[str, list[dict[str, Any]]]:
        """What is new to a reader who has read so much of this incarnation; who knows another one reads from the start."""
        start = number if incarnation == self._incarnation else 0
        if start == len(self._posted):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_grown.wait(), patience_seconds)
        return self._incarnation, self._posted[start:]

    async def has_finished(self, stage: str, patience_seconds: float) -> bool:
        """Whether the end of a stage was posted, or is within some seconds."""

        async def posted() -> None:
            while stage not in self._finished:
                await self._has_grown.wait()

        with suppress(TimeoutError):
            await asyncio.wait_for(posted(), patience_seconds)
            return True
        return False


class Board:
    """One process's access to the board."""

    def __init__(self, name: str) -> None:
        """Finds the board of this name, or puts it up.

        Args:
            name: Of this run alone.
        """
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        options = {"name": name, "get_if_exists": True, "num_cpus": 0, "max_restarts": -1, "max_concurrency": 1000}
        options |= {"scheduling_strategy": here}  # the driver's node: what dies with it is of no use any more
        self._actor: ActorHandle[Any] = ray.remote(_Notices).options(**options).remote()
        self._incarnation = ""
        self._num_read = 0
        self._unposted: list[dict[str, Any]] = []
        self._posted_at = 0.0

    def post(self, event: StageEvent) -> None:
        """Posts an event and does not wait; short epochs are posted together: each message costs the learning some CPU."""
        self._unposted.append(event_as_json(event))
        if isinstance(event, EpochFinished) and time.monotonic() < self._posted_at + _POST_SECONDS:
            return
        self._actor.post.remote(self._unposted)
        self._unposted, self._posted_at = [], time.monotonic()

    def news(self, patience_seconds: float) -> list[StageEvent]:
        """What was posted since the last time; nothing after waiting in vain, or while the board does not answer."""
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
        """Whether a stage is in the store, after waiting some seconds for that: on the news, or, should that be lost, on a look."""
        question = self._actor.has_finished.remote(stage.name, _LOOK_AT_STORE_SECONDS)
        try:
            if ray.get(question, timeout=_LOOK_AT_STORE_SECONDS + _ANSWER_SECONDS):
                return True
        except (RayActorError, GetTimeoutError):
            time.sleep(_LISTEN_AGAIN_SECONDS)  # the board is about to be started again
        return store.load(stage.key) is not None
