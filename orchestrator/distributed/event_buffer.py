"""Define the actor that stores the events of an event channel.

This module does not import torch, because the actor starts at the same time as the first lane, on
the same CPUs.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Any


class EventBuffer:
    """Keep all events of a channel in the order of their arrival."""

    def __init__(self) -> None:
        self._incarnation = uuid.uuid4().hex
        self._events: list[dict[str, Any]] = []
        self._finished: set[str] = set()
        self._has_grown = asyncio.Event()

    async def append(self, events: list[dict[str, Any]]) -> None:
        """Add events as JSON (`stages.events`)."""
        self._events += events
        self._finished |= {event["stage"] for event in events if event["event"] == "StageFinished"}
        self._has_grown.set()
        self._has_grown = asyncio.Event()

    async def since(
        self, incarnation: str, number: int, timeout_seconds: float
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return the id of this actor's incarnation, and the events that a reader has not seen yet.

        Args:
            incarnation: Id of the incarnation that the reader knows. If the actor has restarted
                since, the reader gets all events.
            number: Number of events of that incarnation that the reader has seen.
            timeout_seconds: How long to wait for the first new event.
        """
        start = number if incarnation == self._incarnation else 0
        if start == len(self._events):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_grown.wait(), timeout_seconds)
        return self._incarnation, self._events[start:]

    async def has_finished(self, stage: str, timeout_seconds: float) -> bool:
        """Return whether the event that a stage has finished arrives before the timeout."""

        async def arrived() -> None:
            while stage not in self._finished:
                await self._has_grown.wait()

        with suppress(TimeoutError):
            await asyncio.wait_for(arrived(), timeout_seconds)
            return True
        return False
