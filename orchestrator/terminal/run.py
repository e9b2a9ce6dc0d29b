"""Show a run: progress bars in a terminal, one line per finished stage, and tables at the end.

A run has two lanes, which may work in parallel: all stages of the teacher, and all stages of the
student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from orchestrator import output_files
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Scenario
from orchestrator.pipelines.run.record import RunRecord, StageResult
from orchestrator.stages import Stage
from orchestrator.terminal.image_progress import ImageProgress
from orchestrator.terminal.pages import page_lines
from orchestrator.terminal.starting import ray_line, run_line
from orchestrator.terminal.unlabeled import certainty_table, unlabeled_lines
from orchestrator.training.reports import EpochReport

_MEASURES_BY_LABEL = {
    "last accuracy": "last_accuracy",
    "average incremental accuracy": "average_incremental_accuracy",
    "forgetting": "forgetting",
    "backward transfer": "backward_transfer",
}


class TerminalRunListener:
    """Listener of a run: prints one line per finished stage. In a terminal, it also shows one
    progress bar for the teacher and one for the student, with task, epoch, loss and remaining time.
    """

    def __init__(self, console: Console) -> None:
        """Create the listener without showing anything.

        Args:
            console: The console that shows the run.
        """
        self._console = console
        self.images_decoded = ImageProgress(console, "decoding")
        self._progress: Progress | None = None
        self._lanes: dict[Role, _LaneBar] = {}

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Print the run's experiment, method and data, and the address of its page in MLflow. Then
        start the progress bars.
        """
        sizes = sorted({len(task.new_classes) for task in scenario.tasks})
        classes = " or ".join(str(size) for size in sizes)
        self._print(
            f"{experiment.name}: {experiment.method.kind} on {scenario.table.name}, "
            f"{len(scenario.tasks)} tasks of {classes} classes, seed {experiment.seed}"
        )
        for line in unlabeled_lines(experiment, scenario):
            self._print(line)
        self._name_run(experiment.tracking.uri, run_id)
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=self._console, transient=True)
            for role in ROLES:
                work = _LaneWork([stage for stage in stages if stage.role == role])
                self._lanes[role] = _LaneBar(
                    work, self._progress.add_task(f"{role}  waiting", total=work.total)
                )
            self._progress.start()

    def ray_starts(self, address: str | None) -> None:
        """Print that Ray starts, because the start takes up to a minute without other output."""
        self._print(ray_line(address))

    def stage_started(self, stage: Stage) -> None:
        """Show the task of a started stage next to the progress bar of teacher or student."""
        self._show(stage, "", 0.0)

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Advance the progress bar of the stage's role (teacher or student) while the extractor
        computes the features of images.
        """
        text = f"features of {num_done:,} of {num_images:,} images"
        self._show(stage, text, _LaneWork.weight(stage) * num_done / num_images)

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Advance the progress bar of the stage's role (teacher or student) by one epoch."""
        text = (
            f"{report.phase} epoch {report.epoch}/{report.num_epochs} loss"
            f" {report.metrics['loss']:.3f}"
        )
        self._show(stage, text, _LaneWork.weight(stage) * report.epoch / report.num_epochs)

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Print one line: the learned classes, the accuracy on each task, and the duration."""
        if lane := self._lanes.get(result.stage.role):
            lane.work.finish(result.stage)
        self._show(result.stage, "done", 0.0)
        row = record.matrix(result.stage.role)[-1]
        numbers = " ".join(f"{100 * accuracy:5.1f}" for accuracy in row)
        classes = ", ".join(record.scenario.class_names[c] for c in result.stage.task.new_classes)
        self._print(
            f"task {result.stage.task.index + 1}/{len(record.scenario.tasks)} {result.stage.role:7}"
            f"  +{{{classes}}}  accuracy by task {numbers} % "
            f" {'from the store' if result.finished.cached else f'{result.finished.seconds:.1f} s'}"
        )

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Show the final tables, the paths of the run's files, and the addresses of its pages."""
        self.close()
        for role in ROLES:
            self._console.print(
                matrix_table(
                    f"{role.capitalize()}: accuracy on each task, in percent",
                    summary[role]["accuracy_matrix"],
                )
            )
        self._console.print(measures_table(summary))
        doubted = summary["suspicious_labels"]
        if doubted["num_contradicted_by_both"]:
            self._print(
                f"labels   teacher and student contradict {doubted['num_contradicted_by_both']:,}"
                f" of {doubted['num_judged']:,} labels:"
                f" {output_dir / output_files.SUSPICIOUS_LABELS_FILE}"
            )
        if "unlabeled" in summary:
            self._console.print(certainty_table(summary["unlabeled"]))
        self._print(f"summary  {output_dir / output_files.SUMMARY_FILE}")
        self._print(f"report   {output_dir / output_files.REPORT_FILE}")
        if (output_dir / output_files.RAY_LOG_FILE).exists():
            self._print(f"Ray log  {output_dir / output_files.RAY_LOG_FILE}")
        self._name_run(experiment.tracking.uri, summary["run_id"])
        for line in page_lines(experiment.tracking.uri, view_url):
            self._print(line)

    def close(self) -> None:
        """Remove the progress bars."""
        self.images_decoded.close()
        if self._progress:
            self._progress.stop()
            self._progress = None

    def _name_run(self, uri: str, run_id: str) -> None:
        """Print the id of the run and the address of its page in MLflow."""
        self._print(run_line(uri, run_id))

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _show(self, stage: Stage, text: str, within_stage: float) -> None:
        if self._progress:
            lane = self._lanes[stage.role]
            description = f"{stage.role}  task {stage.task.index + 1} {text}"
            self._progress.update(
                lane.bar, description=description, completed=lane.work.done + within_stage
            )


class _LaneWork:
    """Counter of the finished work of a lane (all stages of the teacher, or all stages of the
    student). Each unit of work takes roughly the same time.

    A student learns from more exemplars with every task, so each student stage counts more units
    than the stage before.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.total = sum(self.weight(stage) for stage in stages)
        self.done = 0.0

    @staticmethod
    def weight(stage: Stage) -> float:
        return 1.0 + stage.task.index if stage.role == "student" else 2.0 / (1 + stage.task.index)

    def finish(self, stage: Stage) -> None:
        self.done += self.weight(stage)


@dataclass(frozen=True)
class _LaneBar:
    """Progress bar of a lane (all stages of the teacher, or all stages of the student), and the
    counter of the finished work of these stages.
    """

    work: _LaneWork
    bar: TaskID


def matrix_table(title: str, matrix: Sequence[Sequence[float]]) -> Table:
    """Return a table of an accuracy matrix in percent. Row i shows the accuracies after task i;
    column j shows the accuracies on task j.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("after task", justify="right")
    for task in range(len(matrix)):
        table.add_column(str(task + 1), justify="right")
    for task, row in enumerate(matrix):
        table.add_row(str(task + 1), *(f"{100 * accuracy:.1f}" for accuracy in row))
    return table


def measures_table(summary: dict[str, Any]) -> Table:
    """Return a table of the final metrics of teacher and student, in percent."""
    table = Table(title="Final metrics, in percent", title_justify="left")
    table.add_column("")
    for role in ROLES:
        table.add_column(
            f"{role} ({summary[role]['num_parameters']:,} parameters)", justify="right"
        )
    for label, key in _MEASURES_BY_LABEL.items():
        table.add_row(label, *(f"{100 * summary[role][key]:.1f}" for role in ROLES))
    return table
