"""Report the progress of a run, a sweep or a retraining as JSON lines, which the log collector of a
cluster reads. Run, task and stage are fields of each line.

Each class is a listener: a command calls its methods to report progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator import output_files
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES
from orchestrator.config.search_space import SearchSpace
from orchestrator.data import Scenario
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.pipelines.run.record import RunRecord, StageResult
from orchestrator.reporting.quantities import objective_text, percent
from orchestrator.stages import Stage
from orchestrator.terminal.console import new_console
from orchestrator.terminal.front import value_text
from orchestrator.terminal.image_progress import ImageProgress
from orchestrator.terminal.lines import JsonLines
from orchestrator.terminal.pages import page_lines
from orchestrator.terminal.starting import ray_line, run_line
from orchestrator.terminal.unlabeled import unlabeled_lines
from orchestrator.training.reports import EpochReport
from orchestrator.tuning.ledger import LedgerTrial


class JsonRunListener:
    """Listener of a run: writes one JSON line when a stage starts, and one when it has finished."""

    def __init__(self) -> None:
        """Create the listener without writing anything."""
        self._lines = JsonLines()
        self._run = ""
        self.images_decoded = ImageProgress(new_console(), "decoding")

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Write the run's experiment, method and data, and the address of its page in MLflow."""
        self._run = run_id
        text = (
            f"{experiment.name}: {experiment.method.kind} on {scenario.table.name},"
            f" {len(scenario.tasks)} tasks, seed {experiment.seed}"
        )
        for line in (text, *unlabeled_lines(experiment, scenario)):
            self._lines.write(line, "info", run_id)
        self._name_run(experiment.tracking.uri, run_id)

    def ray_starts(self, address: str | None) -> None:
        """Write that Ray starts on this machine, or that the run joins a Ray cluster."""
        self._lines.write(ray_line(address), "info", self._run)

    def stage_started(self, stage: Stage) -> None:
        """Write the role and the task of a stage that starts."""
        self._lines.write(
            f"{stage.role} starts task {stage.task.index + 1}",
            "info",
            self._run,
            stage.task.index,
            stage.name,
        )

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Write a line when the pre-trained extractor has processed all images of a stage."""
        if num_done == num_images:
            self._lines.write(
                f"computed the features of {num_images} images",
                "info",
                self._run,
                stage.task.index,
                stage.name,
            )

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Write nothing: a run has hundreds of epochs, and MLflow records every epoch."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Write the accuracy on each task after a stage, and the duration of the stage."""
        stage = result.stage
        numbers = " ".join(f"{100 * accuracy:.1f}" for accuracy in record.matrix(stage.role)[-1])
        took = "from the store" if result.finished.cached else f"{result.finished.seconds:.1f} s"
        text = (
            f"{stage.role} has learned task {stage.task.index + 1} of {len(record.scenario.tasks)}:"
            f" accuracy by task {numbers} %, {took}"
        )
        self._lines.write(text, "info", self._run, stage.task.index, stage.name)

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Write the final metrics, and the addresses of the run's pages in MLflow."""
        for role in ROLES:
            measures = ", ".join(
                f"{name} {percent(summary[role][name])}"
                for name in ("last_accuracy", "average_incremental_accuracy", "forgetting")
            )
            self._lines.write(f"{role}: {measures}", "info", summary["run_id"])
        if unlabeled := summary.get("unlabeled"):
            num_sure = sum(row["num_sure"] for row in unlabeled["classes"])
            text = f"teacher: sure of {num_sure} of {unlabeled['num_images']} images without labels"
            self._lines.write(text, "info", summary["run_id"])
        for line in page_lines(experiment.tracking.uri, view_url):
            self._lines.write(line, "info", summary["run_id"])

    def close(self) -> None:
        """Do nothing: there is no display to remove."""

    def _name_run(self, uri: str, run_id: str) -> None:
        self._lines.write(run_line(uri, run_id), "info", run_id)


class JsonTickListener(JsonRunListener):
    """Run listener for the training in one tick (check for new files) of a retraining. The method
    `show_outcome` writes the result of the tick; `run_finished` writes nothing.
    """

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Write nothing, because `show_outcome` writes the result of the tick."""

    def _name_run(self, uri: str, run_id: str) -> None:
        """Write no run id: the retraining's tick may be a dry run, which has no run in MLflow."""

    def show_outcome(self, outcome: RetrainingOutcome) -> None:
        """Write the result of a tick: the findings about files and images, the conditions of the
        promotion gate and, on the last line, `OUTCOME: reason`.
        """
        run = outcome.run_id or ""
        for finding in outcome.findings:
            self._lines.write(
                f"{finding.reaction}: {finding.message}",
                "warning" if finding.reaction != "learn" else "info",
                run,
            )
        for condition in outcome.conditions:
            self._lines.write(f"gate: {condition}: {condition.verdict.value}", "info", run)
        if outcome.advice:
            self._lines.write(outcome.advice, "warning", run)
        dry = " (dry run: nothing was changed)" if outcome.is_dry else ""
        self._lines.write(f"{outcome.outcome}{dry}: {outcome.reason}", "info", run)


class JsonSweepListener:
    """Listener of a sweep: writes one JSON line when a trial starts or ends."""

    def __init__(self, tracking_uri: str) -> None:
        """Create the listener without writing anything.

        Args:
            tracking_uri: Address of the MLflow store that has the sweep's pages.
        """
        self._lines = JsonLines()
        self._tracking_uri = tracking_uri
        self._statuses: dict[int, str] = {}

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
        sweep_id: str,
    ) -> None:
        """Write the name of the search space, the number of trials, and the address of the sweep's
        page in MLflow.
        """
        self._search_space = search_space
        self._statuses = {trial.number: trial.status.value for trial in known}
        number = "all combinations" if num_trials is None else f"{num_trials} trials"
        self._lines.write(
            f"{search_space.name}: {number}, {search_space.searcher.kind} search, {len(known)}"
            " known"
        )
        self._lines.write(run_line(self._tracking_uri, sweep_id), "info", sweep_id)

    def ray_starts(self, address: str | None) -> None:
        """Write that Ray starts on this machine, or that the sweep joins a Ray cluster."""
        self._lines.write(ray_line(address))

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Write the trial's status if it has changed."""
        if self._statuses.get(trial.number) != trial.status.value:
            self._statuses[trial.number] = trial.status.value
            value = (
                f", objective {value_text(trial, self._search_space)}"
                if trial.value is not None
                else ""
            )
            reason = f": {trial.reason}" if trial.reason else ""
            self._lines.write(
                f"trial {trial.number} {trial.status.value}{value}{reason}",
                "info",
                trial.run_id or "",
            )

    def tick(self) -> None:
        """Do nothing: there is no display to refresh."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Write the best trial, the Pareto front, and the addresses of the sweep's pages."""
        best, run = summary["best"], summary["sweep_id"]
        if best is not None:
            self._lines.write(
                f"best trial {best['trial']}:"
                f" {objective_text(best['value'], summary['metric'])} with {best['parameters']}",
                "info",
                run,
            )
        if front := summary.get("front"):
            self._lines.write(f"front: trials {', '.join(map(str, front))}", "info", run)
        self._lines.write(f"{output_files.BEST_FILE} and all figures are in MLflow", "info", run)
        for line in page_lines(self._tracking_uri, view_url):
            self._lines.write(line, "info", run)

    def close(self) -> None:
        """Do nothing: there is no display to remove."""
