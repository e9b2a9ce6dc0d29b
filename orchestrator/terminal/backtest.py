"""Show a backtest of a retraining: progress with the remaining time, one line per tick, and tables
at the end.

A backtest replays past arrivals of labelled images. Each tick of a replay processes one arrival:
teacher and student learn from its images, and the promotion gate judges the trained models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from orchestrator import output_files
from orchestrator.pipelines.retraining.backtest_listener import BacktestProgress
from orchestrator.pipelines.run.listener import RunListener, SilentRunListener
from orchestrator.reporting.backtest_report import (
    condition_columns,
    outcomes_of,
    rate_text,
    replay_name,
    verdict_text,
    wrong_labels_text,
)
from orchestrator.reporting.quantities import NOTHING, duration, percent
from orchestrator.retraining.backtest.arrivals import Arrival
from orchestrator.retraining.backtest.replays import PlannedReplay, ReplayedTick
from orchestrator.stages import Stage
from orchestrator.terminal.console import new_console
from orchestrator.terminal.lines import LineWriter, is_read_by_programs, line_writer
from orchestrator.training.reports import EpochReport

_MOST_CLASSES = 6


def backtest_listener() -> TerminalBacktestListener:
    """Return the listener that shows a backtest on standard output."""
    return TerminalBacktestListener(new_console(160), line_writer())


class TerminalBacktestListener:
    """Listener of a backtest: prints one line per tick (replay of one arrival of files) and, in a
    terminal, shows a progress bar.
    """

    def __init__(self, console: Console, lines: LineWriter) -> None:
        """Create the listener without showing anything.

        Args:
            console: Console that shows the progress bar and the tables.
            lines: Writer of the printed lines. While the progress bar is shown, the console prints
                the lines instead.
        """
        self._console = console
        self._lines = lines
        self._bar: Progress | None = None
        self._tick = ""

    @property
    def learning(self) -> RunListener:
        """Return a run listener that shows the current stage and epoch next to the progress bar."""
        return _Learning(self)

    def backtest_started(self, num_arrivals: int, num_replays: int, num_finished: int) -> None:
        """Print the number of arrivals (groups of new files) and the number of replays (simulations
        of all arrivals). Then start the progress bar.
        """
        earlier = f", {num_finished} of them finished earlier" if num_finished else ""
        self._print(f"{num_arrivals} arrivals, {num_replays} replays{earlier}")
        if self._console.is_terminal and num_finished < num_replays:
            columns = (BarColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task("", total=num_arrivals * num_replays)
            self._bar.start()

    def tick_started(
        self, planned: PlannedReplay, arrival: Arrival, progress: BacktestProgress
    ) -> None:
        """Show next to the progress bar which tick of which replay (simulation) runs, and the name
        of the arrival (group of new files) that the tick processes.
        """
        self._tick = f"{_place(planned, progress)} {arrival.name}{_left(progress)}"
        self.learns("")
        if self._bar:
            self._bar.update(TaskID(0), completed=progress.num_done)

    def learns(self, what: str) -> None:
        """Show a text, such as the current stage and epoch, next to the progress bar."""
        if self._bar:
            self._bar.update(TaskID(0), description=f"{self._tick}  {what}")

    def tick_finished(
        self, planned: PlannedReplay, tick: ReplayedTick, progress: BacktestProgress
    ) -> None:
        """Print one line with the outcome of a tick (replay of one arrival of files)."""
        wrong = f", {tick.num_wrong:,} wrong labels" if tick.num_wrong else ""
        self._print(
            f"{_place(planned, progress)} {tick.arrival} {{{_some(tick.classes)}}}{wrong}:"
            f" {tick.outcome}: {tick.reason}  {duration(tick.seconds)}{_left(progress)}"
        )

    def backtest_finished(self, content: Mapping[str, Any], output_dir: Path) -> None:
        """Print the tables of ticks, the summary, and the paths of the backtest's files."""
        self.close()
        if is_read_by_programs():
            for row in content["summary"]:
                self._print(summary_line(row))
        else:
            self._console.print(
                "Every tick, shares in percent: ✓ met, ✕ violated, ? not enough images\n"
            )
            for replay in content["replays"]:
                self._console.print(ticks_table(replay, content))
            self._console.print(summary_table(content))
        self._print(f"backtest {output_dir / output_files.BACKTEST_FILE}")
        self._print(f"report   {output_dir / output_files.BACKTEST_REPORT_FILE}")

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _print(self, text: str) -> None:
        if self._bar:
            self._console.print(text, soft_wrap=True)
        else:
            self._lines.write(text)


class _Learning(SilentRunListener):
    """Run listener that passes the current stage and epoch on to the listener of the backtest."""

    def __init__(self, listener: TerminalBacktestListener) -> None:
        self._listener = listener

    def stage_started(self, stage: Stage) -> None:
        self._listener.learns(f"{stage.role} task {stage.task.index + 1}")

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        self._listener.learns(
            f"{stage.role} task {stage.task.index + 1} {report.phase} epoch"
            f" {report.epoch}/{report.num_epochs}"
        )


def ticks_table(replay: Mapping[str, Any], content: Mapping[str, Any]) -> Table:
    """Return a table of one replay (simulation), with one row per tick. A row has the arrival
    (group of new files), the outcome, and the value of each condition of the promotion gate.

    A condition on the teacher and the same condition on the student share a column.
    """
    columns = condition_columns([replay])
    table = Table(title=replay_name(replay, content), title_justify="left")
    for column in ("arrival", "classes", "wrong labels"):
        table.add_column(column, overflow="fold")
    table.add_column("outcome", no_wrap=True)
    for name, keys in columns.items():
        both = "\nteacher, student" if len(keys) > 1 else ""
        table.add_column(name.replace("_", " ") + both, justify="right")
    for tick in replay["ticks"]:
        table.add_row(
            tick["arrival"],
            _some(tick["classes"]),
            f"{tick['num_wrong']:,} of {tick['num_images']:,}" if tick["num_wrong"] else NOTHING,
            tick["outcome"] + ("\n(a miss)" if tick["learned_wrong"] else ""),
            *("  ".join(verdict_text(tick, key) for key in keys) for keys in columns.values()),
        )
    return table


def summary_table(content: Mapping[str, Any]) -> Table:
    """Return a table of the promotion gate's error rates. Each row combines one setting of the gate
    with one share of wrong labels.
    """
    outcomes = outcomes_of(content)
    table = Table(
        title=f"Errors of the gate, with confidence intervals at {percent(content['confidence'])}",
        title_justify="left",
    )
    table.add_column("setting")
    for column in ("wrong labels", "replays", *(it.replace("_", " ") for it in outcomes)):
        table.add_column(column, justify="right")
    table.add_column("false alarms")
    table.add_column("misses")
    for row in content["summary"]:
        counts = (str(row["outcomes"].get(outcome, 0)) for outcome in outcomes)
        table.add_row(
            row["setting"] or "as in the file",
            wrong_labels_text(row),
            str(row["replays"]),
            *counts,
            rate_text(row["false_alarms"]),
            rate_text(row["misses"]),
        )
    return table


def summary_line(row: Mapping[str, Any]) -> str:
    """Return one row of a backtest's summary as text: a setting of the promotion gate, the share of
    wrong labels, and the gate's rate of misses (of false alarms if no labels are wrong).
    """
    setting = f"{row['setting']}, " if row["setting"] else ""
    if row["misses"] is None:
        return f"{setting}no wrong labels: false alarms {rate_text(row['false_alarms'])}"
    return f"{setting}{wrong_labels_text(row)} wrong labels: misses {rate_text(row['misses'])}"


def _place(planned: PlannedReplay, progress: BacktestProgress) -> str:
    details = [f"{percent(planned.share)} wrong labels"] if planned.share else []
    details += [planned.setting] if planned.setting else []
    about = f" ({', '.join(details)})" if details else ""
    return (
        f"replay {progress.replay}/{progress.num_replays}{about}"
        f" tick {progress.tick}/{progress.num_ticks}"
    )


def _left(progress: BacktestProgress) -> str:
    if progress.seconds_left is None or progress.num_done == progress.num_total:
        return ""
    return f", about {duration(progress.seconds_left)} left"


def _some(classes: Sequence[str]) -> str:
    more = f", and {len(classes) - _MOST_CLASSES} more" if len(classes) > _MOST_CLASSES else ""
    return ", ".join(classes[:_MOST_CLASSES]) + more
