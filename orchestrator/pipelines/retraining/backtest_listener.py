"""Define listeners of a backtest. A listener receives the events of a backtest, for example to show
them in a terminal.
"""

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
    """Progress of a backtest.

    Attributes:
        replay: Number of the current replay, from 1.
        num_replays: Number of all replays, including those of earlier starts.
        tick: Number of the current tick within its replay, from 1.
        num_ticks: Number of ticks per replay.
        num_done: Number of finished ticks, including those of earlier starts.
        num_total: Number of ticks of all replays.
        seconds_left: Remaining time, estimated from the mean duration of the ticks so far; None
            before the first tick has finished.
    """

    replay: int
    num_replays: int
    tick: int
    num_ticks: int
    num_done: int
    num_total: int
    seconds_left: float | None


class BacktestListener(Protocol):
    """Listener that receives the events of a running backtest.

    To handle only some events, derive a class from `SilentBacktestListener`.
    """

    @property
    def learning(self) -> RunListener | None:
        """Return the listener that receives the events of training during a tick; None if no
        listener needs these events.
        """

    def backtest_started(self, num_arrivals: int, num_replays: int, num_finished: int) -> None:
        """Handle the start of the replays; all checks have passed. A replay executes the retraining
        once (a tick) for each past arrival of files.

        Args:
            num_arrivals: Number of arrivals, which is the number of ticks per replay.
            num_replays: Number of all replays.
            num_finished: Number of replays that an earlier start of the backtest has finished.
        """

    def tick_started(
        self, planned: PlannedReplay, arrival: Arrival, progress: BacktestProgress
    ) -> None:
        """Handle the start of a tick, which is one execution of the replayed retraining."""

    def tick_finished(
        self, planned: PlannedReplay, tick: ReplayedTick, progress: BacktestProgress
    ) -> None:
        """Handle the end of a tick, which is one execution of the replayed retraining."""

    def backtest_finished(self, content: Mapping[str, Any], output_dir: Path) -> None:
        """Handle the end of the backtest; all files are written.

        Args:
            content: The content of backtest.json.
            output_dir: Folder with the files.
        """


class SilentBacktestListener:
    """Listener that ignores every event."""

    learning: RunListener | None = None

    def backtest_started(self, num_arrivals: int, num_replays: int, num_finished: int) -> None:
        """Ignore the event."""

    def tick_started(
        self, planned: PlannedReplay, arrival: Arrival, progress: BacktestProgress
    ) -> None:
        """Ignore the event."""

    def tick_finished(
        self, planned: PlannedReplay, tick: ReplayedTick, progress: BacktestProgress
    ) -> None:
        """Ignore the event."""

    def backtest_finished(self, content: Mapping[str, Any], output_dir: Path) -> None:
        """Ignore the event."""
