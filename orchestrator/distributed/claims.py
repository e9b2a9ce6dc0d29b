"""Share claims between many Ray workers, through one small named actor. A claim is the exclusive
right to compute the result with a given key, such as a stage. The actor, called the claims' actor
below, records the holder of each claim, and frees the claim if the holder dies.

Every claim holder is an actor, too, and the claims' actor keeps a pending call to each holder. A
busy holder may answer hours later. When the process of a holder dies, Ray ends the call with an
error at once, and the claims' actor frees the holder's claims. So a claim needs no lease, which the
holder would have to renew while torch blocks its threads.

If the claims' actor itself dies, all claims are lost. At worst, a stage is computed twice, with the
same result.
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
    """Actor that records the holder of the claim on each key, and the token that identifies the
    claim. A claim is the exclusive right to compute the result with a key.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, ActorHandle[Any]]] = {}
        # Tokens of released claims. Messages may overtake each other: if the request for a claim
        # arrives after the release of the claim, the request must not be granted.
        self._released: set[str] = set()
        self._watched: dict[ActorHandle[Any], asyncio.Task[None]] = {}
        self._has_changed = asyncio.Event()

    async def take(
        self, key: str, token: str, holder: ActorHandle[Any], patience_seconds: float
    ) -> bool:
        """Try to take the claim on a key, the exclusive right to compute the result with this key.
        Wait at most `patience_seconds` until no other process holds the claim. Return whether the
        claim is granted.
        """
        # Not `asyncio.wait_for`: in Python 3.11, it waits in a separate asyncio task. Before this
        # method continues, another waiting call may have claimed the key.
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._until_free(key, token)
        if token in self._released or self._token_of(key) not in {None, token}:
            return False
        self._held[key] = (token, holder)
        if holder not in self._watched:
            self._watched[holder] = asyncio.create_task(self._watch(holder))
        return True

    async def release(self, key: str, token: str) -> None:
        """Release a claim. If the request for the claim arrives later, do not grant the claim."""
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
    """Connection of one process to the actor that grants claims. A claim is the exclusive right to
    compute a result, such as a stage.

    The first process that creates a `ClusterClaims` starts the actor. The actor and all claims end
    when this process ends or drops its `ClusterClaims`. So the driver creates a `ClusterClaims`
    before any worker does, and keeps it. If the actor ends nevertheless, the next process that
    needs a claim starts a new actor.
    """

    def __init__(self, name: str) -> None:
        """Find the actor that grants claims under a name, or start this actor. A claim is the
        exclusive right to compute a result, such as a stage.

        Args:
            name: Name of the actor. All runs that may compute the same stages use this name, and no
                other run in the cluster uses it.
        """
        self._name = name
        self._actor = _actor(name)
        self._silent_since: float | None = None

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        """Try to take the claim on a key, the exclusive right to compute the result with this key.
        The caller must be an actor, because the claim is freed when this actor dies.

        Return whether the caller may compute the result: the caller holds the claim, or the actor
        that grants claims has not answered for a minute.
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
        """Release the claim on a key, without waiting until the release is recorded."""
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
    # Ray repeats a failed call without limit: a repeated call does no harm, but a lost release
    # would leave a claim held.
    return named_actor(_Holders, name, max_task_retries=-1)
