"""The listener of a backtest: it receives each tick, for a terminal, a notebook or a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.pipelines.run.listener import RunListener
from orchestrator.retraining.backtest.arrivals import Arrival
from orchestrator.retraining.backtest.replays import PlannedReplay, ReplayedTick


@dataclass(frozen=True)
class BacktestProgress:
    """Say how far a backtest is.

    Attributes:
        replay: Number of the replay, from 1.
        num_replays: All, those of earlier starts included.
        tick: Number of the tick within its replay, from 1.
        num_ticks: Of each replay.
        num_done: Ticks that are done, those of earlier starts included.
        num_total: Ticks of all replays.
        seconds_left: Estimate from the mean of the ticks so far; None before the first.
    """

    replay: int
    num_replays: int
    tick: int
    num_ticks: int
    num_done: int
    num_total: int
    seconds_left: float | None


class BacktestListener(Protocol):
    """Receive the events of a backtest while it happens.

    `SilentBacktestListener` is the base for a listener that needs only some of them.
    """

    @property
    def learning(self) -> RunListener | None:
        """The listener of the runs within ticks; None for silence."""

    def backtest_started(self, num_arrivals: int, num_replays: int, num_finished: int) -> None:
        """Receive that everything is checked, and replaying begins.

        Args:
            num_arrivals: Ticks of each replay.
            num_replays: All of them.
            num_finished: Replays that an earlier start has finished.
        """

    def tick_started(
        self, planned: PlannedReplay, arrival: Arrival, progress: BacktestProgress
    ) -> None:
        """Receive that a tick begins."""

    def tick_finished(
        self, planned: PlannedReplay, tick: ReplayedTick, progress: BacktestProgress
    ) -> None:
        """Receive what a tick did."""

    def backtest_finished(self, content: Mapping[str, Any], output_dir: Path) -> None:
        """Receive that everything is written.

        Args:
            content: Of backtest.json.
            output_dir: Where the files are.
        """


class SilentBacktestListener:
    """Ignore every event."""

    learning: RunListener | None = None

    def backtest_started(self, num_arrivals: int, num_replays: int, num_finished: int) -> None:
        """Ignore it."""

    def tick_started(
        self, planned: PlannedReplay, arrival: Arrival, progress: BacktestProgress
    ) -> None:
        """Ignore it."""

    def tick_finished(
        self, planned: PlannedReplay, tick: ReplayedTick, progress: BacktestProgress
    ) -> None:
        """Ignore it."""

    def backtest_finished(self, content: Mapping[str, Any], output_dir: Path) -> None:
        """Ignore it."""
