"""The buffer of an event channel: which reader has read which events, and who waits for which."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.distributed.event_buffer import EventBuffer
from orchestrator.stages.events import StageFinished, StageStarted, event_as_json
from tests.waiting import PATIENCE_SECONDS

STARTED = event_as_json(StageStarted("teacher[0]"))
FINISHED = event_as_json(
    StageFinished("teacher[0]", seconds=1.0, num_train_workers=1, cached=False)
)
AT_ONCE, SOON = 0.01, PATIENCE_SECONDS


def test_a_reader_gets_every_event_once() -> None:
    async def reads() -> list[list[dict[str, Any]]]:
        buffer = EventBuffer()
        await buffer.append([STARTED])
        incarnation, first = await buffer.since("", 0, AT_ONCE)
        await buffer.append([FINISHED])
        _, second = await buffer.since(incarnation, 1, AT_ONCE)
        _, third = await buffer.since(incarnation, 2, AT_ONCE)
        return [first, second, third]

    assert asyncio.run(reads()) == [[STARTED], [FINISHED], []]


def test_a_reader_reads_a_restarted_buffer_from_its_start() -> None:
    async def reads() -> list[dict[str, Any]]:
        before, after = EventBuffer(), EventBuffer()
        await before.append([STARTED, FINISHED])
        incarnation, events = await before.since("", 0, AT_ONCE)
        await after.append([STARTED])
        _, events = await after.since(incarnation, len(events), AT_ONCE)
        return events

    assert asyncio.run(reads()) == [STARTED]


def test_waiting_readers_get_events_as_they_come() -> None:
    async def waits() -> list[dict[str, Any]]:
        buffer = EventBuffer()
        waiting = asyncio.create_task(buffer.since("", 0, SOON))
        await asyncio.sleep(0)
        await buffer.append([STARTED])
        _, events = await waiting
        return events

    assert asyncio.run(waits()) == [STARTED]


def test_the_wait_for_a_stage_ends_only_with_its_end() -> None:
    async def waits() -> tuple[bool, bool, bool]:
        buffer = EventBuffer()
        await buffer.append([STARTED])
        before = await buffer.has_finished("teacher[0]", AT_ONCE)
        waiting = asyncio.create_task(buffer.has_finished("teacher[0]", SOON))
        await asyncio.sleep(0)
        await buffer.append([FINISHED])
        return before, await waiting, await buffer.has_finished("student[0]", AT_ONCE)

    assert asyncio.run(waits()) == (False, True, False)
