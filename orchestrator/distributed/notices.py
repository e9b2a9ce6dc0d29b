"""The actor behind the notice board. This module loads no torch: the actor starts beside the first
lane, on the same CPUs.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Any


class Notices:
    """What was posted, in order."""

    def __init__(self) -> None:
        self._incarnation = uuid.uuid4().hex
        self._posted: list[dict[str, Any]] = []
        self._finished: set[str] = set()
        self._has_grown = asyncio.Event()

    async def post(self, notices: list[dict[str, Any]]) -> None:
        """Takes events as JSON (`stages.events`)."""
        self._posted += notices
        self._finished |= {
            notice["stage"] for notice in notices if notice["event"] == "StageFinished"
        }
        self._has_grown.set()
        self._has_grown = asyncio.Event()

    async def since(
        self, incarnation: str, number: int, patience_seconds: float
    ) -> tuple[str, list[dict[str, Any]]]:
        """What is new to a reader who has read so much of this incarnation; who knows another one
        reads from the start.
        """
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
