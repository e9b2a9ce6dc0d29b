"""The claims of many Ray workers on stages: a small named actor that knows who holds what, and
notices when a holder dies.

It leaves a call with each holder's actor. A holder that is at work answers when it has time for
that, be it in hours, which says nothing; but when its process dies, Ray ends the call with an error
at once, and the claims are free. So there is no lease that a holder would have to renew while torch
keeps its threads waiting.

Like the event channel it forgets everything when it dies itself: at worst a stage is computed twice
then, with the same result.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from orchestrator.distributed.named_actor import named_actor

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 1.0
_HOPE_SECONDS = 60.0


class _Holders:
    """The actor: for each key the token of its claim, and the actor that holds it."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, ActorHandle[Any]]] = {}
        # messages may overtake each other: what was released before it was granted must not be
        # granted afterwards
        self._released: set[str] = set()
        self._watched: dict[ActorHandle[Any], asyncio.Task[None]] = {}
        self._has_changed = asyncio.Event()

    async def take(
        self, key: str, token: str, holder: ActorHandle[Any], patience_seconds: float
    ) -> bool:
        """Whether the key is held under this token, now or within some seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._until_free(key, token), patience_seconds)
        if token in self._released or self._token_of(key) not in {None, token}:
            return False
        self._held[key] = (token, holder)
        if holder not in self._watched:
            self._watched[holder] = asyncio.create_task(self._watch(holder))
        return True

    async def release(self, key: str, token: str) -> None:
        """Ends a claim, held or not."""
        self._released.add(token)
        self._free([key] if self._token_of(key) == token else [])

    async def _until_free(self, key: str, token: str) -> None:
        while token not in self._released and self._token_of(key) not in {None, token}:
            await self._has_changed.wait()

    def _token_of(self, key: str) -> str | None:
        return self._held[key][0] if key in self._held else None

    def _keys_of(self, holder: ActorHandle[Any]) -> list[str]:
        return [key for key, (_, its_holder) in self._held.items() if its_holder == holder]

    def _free(self, keys: list[str]) -> None:
        for key in keys:
            del self._held[key]
        self._has_changed.set()
        self._has_changed = asyncio.Event()

    async def _watch(self, holder: ActorHandle[Any]) -> None:
        try:
            while self._keys_of(holder):
                await holder.__ray_ready__.remote()
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
        except RayError as error:
            logger.warning(
                "the holder of %d claims has died: %s", len(self._keys_of(holder)), error
            )
            self._free(self._keys_of(holder))
        finally:
            del self._watched[holder]


class ClusterClaims:
    """One process's access to the claims.

    They end with the process that has opened them first, or when it lets go of this object: the
    driver opens them before any holder does, and keeps them open. Should they end all the same, the
    next one that asks opens them anew.
    """

    def __init__(self, name: str) -> None:
        """Finds the claims of this name, or opens them.

        Args:
            name: Of all runs that share them, and of nobody else in the cluster.
        """
        self._name = name
        self._actor = _actor(name)
        self._silent_since: float | None = None

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Whether a claim is held now; only an actor can hold one. After a minute without an answer
        it goes on without.
        """
        this_actor = ray.get_runtime_context().current_actor
        question = self._actor.take.remote(key, token, this_actor, patience_seconds)
        try:
            is_held = bool(ray.get(question, timeout=patience_seconds + _ANSWER_SECONDS))
        except (RayActorError, GetTimeoutError) as error:
            return self._goes_without(error)
        self._silent_since = None
        return is_held

    def release(self, key: str, token: str) -> None:
        """Ends a claim, and does not wait."""
        self._actor.release.remote(key, token)

    def _goes_without(self, error: RayError) -> bool:
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since > _HOPE_SECONDS:
            logger.warning(
                "%s does not answer; a stage may be computed twice: %s", self._name, error
            )
            return True
        time.sleep(_ASK_AGAIN_SECONDS)
        self._actor = _actor(self._name)
        return False


def _actor(name: str) -> ActorHandle[Any]:
    # every call may be repeated, and a lost release would leave a claim behind
    return named_actor(_Holders, name, max_task_retries=-1)
