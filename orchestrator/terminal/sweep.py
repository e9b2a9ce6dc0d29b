"""Show a sweep: one line per finished trial and, in a terminal, a live table of the trials. At the
end, the best trials are shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator import output_files
from orchestrator.config.objective import metric_text
from orchestrator.config.search_space import SearchSpace
from orchestrator.reporting.quantities import duration, objective_text
from orchestrator.terminal.front import front_table, no_choice_text, value_text
from orchestrator.terminal.pages import page_lines
from orchestrator.terminal.parameters import parameters_text
from orchestrator.terminal.printable import printable
from orchestrator.terminal.starting import ray_line, run_line
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.ranking import ranked
from orchestrator.tuning.trial_status import TrialStatus

_MOST_ROWS = 14
_BEST_AT_THE_END = 5


class TerminalSweepListener:
    """Listener of a sweep: prints one line per finished trial and, in a terminal, shows a live
    table of the trials.
    """

    def __init__(self, console: Console, tracking_uri: str) -> None:
        """Create the listener without showing anything.

        Args:
            console: The console that shows the sweep.
            tracking_uri: Address of the MLflow store that has the sweep's pages.
        """
        self._console = console
        self._tracking_uri = tracking_uri
        self._live: Live | None = None
        self._trials: dict[int, LedgerTrial] = {}
        self._began: dict[int, float] = {}

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
        sweep_id: str,
    ) -> None:
        """Print the search settings and the address of the sweep's page in MLflow. Then start the
        live table.
        """
        self._search_space, self._num_trials, self._num_tasks = search_space, num_trials, num_tasks
        self._started = time.monotonic()
        self._trials = {trial.number: trial for trial in known}
        over = sum(not trial.is_open for trial in known)
        number = "all combinations" if num_trials is None else f"{num_trials} trials"
        earlier = f", {over} of them finished earlier" if over else ""
        self._print(
            f"{search_space.name}: {number}{earlier}, {search_space.searcher.kind} search, trial"
            f" scheduler {search_space.trial_scheduler.kind}, {_aims(search_space)} on"
            f" {search_space.split} data"
        )
        self._print(run_line(self._tracking_uri, sweep_id))
        if self._console.is_terminal:
            self._live = Live(
                self._picture(), console=self._console, transient=True, refresh_per_second=2
            )
            self._live.start()

    def ray_starts(self, address: str | None) -> None:
        """Print that Ray starts, because the start takes up to a minute without other output."""
        self._print(ray_line(address))

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Update a trial in the table, and print a line if the trial has ended."""
        before = self._trials.get(trial.number)
        self._trials[trial.number] = trial
        if trial.status is TrialStatus.RUNNING:
            self._began.setdefault(trial.number, time.monotonic())
        elif before is None or before.status is not trial.status:
            self._print(self._line(trial))
        self.tick()

    def tick(self) -> None:
        """Refresh the live table, so that its running times are up to date."""
        if self._live:
            self._live.update(self._picture())

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Show the best trials, the totals, the paths of the sweep's files, and the addresses of
        its pages.
        """
        self.close()
        front = summary.get("front")
        if front:
            self._console.print(front_table([self._trials[number] for number in front], summary))
        elif summary["best"] is not None:
            self._console.print(
                _best_table(ranked(self._trials.values(), summary["mode"]), summary)
            )
        statuses = [trial["status"] for trial in summary["trials"]]
        counts = ", ".join(
            f"{statuses.count(status)} {status}" for status in TrialStatus if status in statuses
        )
        shared, computed = (
            sum(trial[key] for trial in summary["trials"])
            for key in ("stages_cached", "stages_computed")
        )
        self._print(f"trials   {counts}; {computed} stages computed, {shared} shared")
        self._print(
            f"time     {duration(summary['wall_seconds'])}; {duration(summary['worker_seconds'])}"
            " of worker time"
        )
        if front:
            self._print(f"front    {output_dir / output_files.FRONT_FILE}")
        if summary["best"] is not None:
            self._print(f"best     {output_dir / output_files.BEST_FILE}")
        elif front:
            self._print(f"best     none: {no_choice_text(summary)}")
        self._print(f"summary  {output_dir / output_files.SUMMARY_FILE}")
        self._print(f"report   {output_dir / output_files.REPORT_FILE}")
        self._print(run_line(self._tracking_uri, summary["sweep_id"]))
        for line in page_lines(self._tracking_uri, view_url):
            self._print(line)
        if TrialStatus.INTERRUPTED.value in statuses:
            self._print(
                "The budget is spent: enlarge it and add --resume to the same command to continue."
            )

    def close(self) -> None:
        """Remove the live table."""
        if self._live:
            self._live.stop()
            self._live = None

    # --- lines and live table ---------------------------------------------------------------------

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _text(self, trial: LedgerTrial) -> str:
        """Return as text those parameters of a trial that differ between trials; all parameters if
        none differs.
        """
        return parameters_text(
            trial.configuration.parameters,
            [other.configuration.parameters for other in self._trials.values()],
        )

    def _line(self, trial: LedgerTrial) -> str:
        value = (
            f"after task {len(trial.curve)}"
            if trial.value is None
            else value_text(trial, self._search_space)
        )
        shared = (
            f"{trial.stages_cached} of {trial.stages_cached + trial.stages_computed} stages shared"
        )
        reason = f"  {trial.reason}" if trial.reason else ""
        return (
            f"trial {trial.number:3}  {trial.status:11} {value}  {trial.seconds:5.1f} s  {shared} "
            f" {self._text(trial)}{reason}"
        )

    def _picture(self) -> Group:
        running = [trial for trial in self._trials.values() if trial.status is TrialStatus.RUNNING]
        best = ranked(self._trials.values(), self._search_space.mode)[
            : max(3, _MOST_ROWS - len(running))
        ]
        table = Table(expand=True)
        for name in ("trial", "task", "objective", "stages shared", "time", "parameters"):
            table.add_column(
                name,
                justify="left" if name == "parameters" else "right",
                no_wrap=name != "parameters",
            )
        for trial in [*running[:_MOST_ROWS], *best]:
            table.add_row(
                *self._row(trial), style="bold" if trial.status is TrialStatus.RUNNING else ""
            )
        return Group(table, Text(printable(self._footer(running))))

    def _row(self, trial: LedgerTrial) -> Sequence[str]:
        is_running = trial.status is TrialStatus.RUNNING
        seconds = (
            time.monotonic() - self._began.get(trial.number, time.monotonic())
            if is_running
            else trial.seconds
        )
        metric = metric_text(self._search_space.metric)
        objective = objective_text(trial.curve[-1], metric) if trial.curve else ""
        shared = f"{trial.stages_cached}/{trial.stages_cached + trial.stages_computed}"
        task = f"{len(trial.curve)}/{self._num_tasks}"
        return str(trial.number), task, objective, shared, f"{seconds:.0f} s", self._text(trial)

    def _footer(self, running: Sequence[LedgerTrial]) -> str:
        over = [trial for trial in self._trials.values() if not trial.is_open]
        total = "" if self._num_trials is None else f" of {self._num_trials}"
        parts = [
            f"{len(over)}{total} trials finished",
            f"{duration(time.monotonic() - self._started)} so far",
        ]
        if self._num_trials is not None and over and running:
            left = (
                max(0, self._num_trials - len(over))
                * fmean(trial.seconds for trial in over)
                / len(running)
            )
            parts.append(f"about {duration(left)} left")
        budget = self._search_space.budget
        if budget.wall_seconds is not None:
            parts.append(
                f"{duration(max(0.0, budget.wall_seconds - (time.monotonic() - self._started)))} of"
                " wall time left in the budget"
            )
        if budget.worker_seconds is not None:
            spent = sum(trial.worker_seconds for trial in self._trials.values())
            parts.append(
                f"{duration(max(0.0, budget.worker_seconds - spent))} of worker time left in the"
                " budget"
            )
        return " · ".join(parts)


def _aims(search_space: SearchSpace) -> str:
    """Return the objectives, such as `max student/last_accuracy, min student/num_parameters`."""
    if search_space.metrics is None:
        return f"{search_space.mode} {', '.join(search_space.weights)}"
    return ", ".join(f"{mode} {name}" for name, mode in search_space.metrics.items())


def _best_table(trials: Sequence[LedgerTrial], summary: Mapping[str, Any]) -> Table:
    """Return a table of a sweep's best trials, with the objective of each trial and the parameters
    that differ between trials.
    """
    table = Table(
        title=f"Best trials: {summary['metric']} on {summary['split']} data", title_justify="left"
    )
    for name in ("rank", "trial", "objective", "parameters"):
        table.add_column(name, justify="left" if name == "parameters" else "right")
    all_parameters = [trial.configuration.parameters for trial in trials]
    for rank, trial in enumerate(trials[:_BEST_AT_THE_END], start=1):
        parameters = parameters_text(trial.configuration.parameters, all_parameters)
        table.add_row(
            str(rank), str(trial.number), objective_text(trial.value, summary["metric"]), parameters
        )
    return table
