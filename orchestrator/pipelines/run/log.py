"""What of a run goes to MLflow, under which name and at which step."""

from __future__ import annotations

from collections import Counter
from typing import Any

from orchestrator.config import flatten
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES
from orchestrator.data import Scenario
from orchestrator.evaluation import (
    accuracy_after,
    average_incremental_accuracy,
    backward_transfer,
    forgetting_after,
    forgetting_of_task,
)
from orchestrator.pipelines.run.record import RunRecord, StageResult
from orchestrator.stages import Stage
from orchestrator.tracking import Tracker, names
from orchestrator.tracking.datasets import dataset_uses
from orchestrator.tracking.tracker import MetricPoint
from orchestrator.training.reports import EpochReport


class RunLog:
    """One run's view of the tracker.

    Attributes:
        parameters: As logged.
        tags: As logged.
        points: Every metric point, in the order of logging.
    """

    def __init__(self, tracker: Tracker, experiment: Experiment, scenario: Scenario) -> None:
        """Logs nothing yet."""
        self.parameters: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.points: list[MetricPoint] = []
        self._tracker = tracker
        self._experiment = experiment
        self._scenario = scenario
        self._epochs: Counter[str] = Counter()

    def start(self) -> None:
        """Parameters, the tags by which runs are found, and the data."""
        table = self._scenario.table
        self.parameters = flatten(self._experiment)
        self.tags = {
            names.METHOD_TAG: self._experiment.method.kind,
            names.SEED_TAG: str(self._experiment.seed),
            names.DATASET_TAG: table.name,
            names.DATASET_FINGERPRINT_TAG: table.fingerprint,
        }
        self._tracker.log_parameters(self.parameters)
        self._tracker.set_tags(self.tags)
        self._tracker.log_datasets(dataset_uses(self._experiment.data, table))

    def epoch(self, stage: Stage, report: EpochReport) -> None:
        """The training curves; the step counts epochs over all stages of the lane."""
        self._epochs[stage.role] += 1
        known = names.TRAINING_PARTS[stage.role]
        values = {
            names.training_metric(stage.role, part): value
            for part, value in report.metrics.items()
            if part in known
        }
        self._log(values, step=self._epochs[stage.role])

    def stage(self, result: StageResult, record: RunRecord) -> None:
        """A row of the accuracy matrix, and the metrics up to it; the step is the number of tasks
        learned.
        """
        role, learned = result.stage.role, result.stage.task.index
        matrix = record.matrix(role)
        values = {
            names.summary_metric(role, "accuracy"): accuracy_after(matrix, learned),
            names.summary_metric(
                role, "average_incremental_accuracy"
            ): average_incremental_accuracy(matrix),
            names.summary_metric(role, "forgetting"): forgetting_after(matrix, learned),
            names.summary_metric(role, "backward_transfer"): backward_transfer(matrix),
        }
        for task, accuracy in enumerate(matrix[learned]):
            values[names.task_accuracy(role, task)] = accuracy
            forgotten = forgetting_of_task(matrix, learned, task) if task < learned else 0.0
            values[names.task_forgetting(role, task)] = forgotten
        self._log(values, step=learned + 1)

    def finish(self, summary: dict[str, Any]) -> None:
        """The scalars that sum up the run."""
        values = {
            names.final_metric(role, measure): summary[role][measure]
            for role in ROLES
            for measure in names.FINAL_MEASURES
        }
        values[names.FINAL_WALL_SECONDS] = summary["wall_seconds"]
        values[names.FINAL_WORKER_SECONDS] = summary["worker_seconds"]
        values[names.FINAL_CACHED_STAGES] = sum(stage["cached"] for stage in summary["stages"])
        self._log(values, step=names.FINAL_STEP)

    def _log(self, values: dict[str, float], step: int) -> None:
        points = [MetricPoint(name, value, step) for name, value in values.items()]
        self.points += points
        self._tracker.log_points(points)
