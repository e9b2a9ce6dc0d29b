"""Define the actor of an event channel, which stores the events of a run.

This module does not import torch: loading torch would slow down the first lane, which starts at the
same time on the same CPUs.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Any


class EventBuffer:
    """Actor that stores all events of a run, in the order of their arrival."""

    def __init__(self) -> None:
        self._incarnation = uuid.uuid4().hex
        self._events: list[dict[str, Any]] = []
        self._finished: set[str] = set()
        self._has_grown = asyncio.Event()

    async def append(self, events: list[dict[str, Any]]) -> None:
        """Add events in the JSON form that `stages.events` defines."""
        self._events += events
        self._finished |= {event["stage"] for event in events if event["event"] == "StageFinished"}
        self._has_grown.set()
        self._has_grown = asyncio.Event()

    async def since(
        self, incarnation: str, number: int, timeout_seconds: float
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return the id of this incarnation of the actor, and the events that a reader has not seen
        yet. Each restart of the actor begins a new incarnation, which lacks the earlier events.

        Args:
            incarnation: Id that the reader received with its last events. If it is the id of an
                earlier incarnation, the reader gets all events.
            number: Number of events that the reader has received from that incarnation.
            timeout_seconds: How long to wait for the first new event.
        """
        start = number if incarnation == self._incarnation else 0
        if start == len(self._events):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_grown.wait(), timeout_seconds)
        return self._incarnation, self._events[start:]

    async def has_finished(self, stage: str, timeout_seconds: float) -> bool:
        """Return whether a stage has finished; wait for its last event, at most until a timeout."""

        async def arrived() -> None:
            while stage not in self._finished:
                await self._has_grown.wait()

        with suppress(TimeoutError):
            await asyncio.wait_for(arrived(), timeout_seconds)
            return True
        return False
