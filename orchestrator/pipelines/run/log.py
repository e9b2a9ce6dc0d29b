"""Log a run in MLflow: parameters, tags and data sets at its start, then metric points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.config import flatten
from orchestrator.config.experiment import Experiment
from orchestrator.data import Scenario
from orchestrator.data.image_table import ImageTable
from orchestrator.pipelines.run.points import final_points, points_of
from orchestrator.pipelines.run.record import Result
from orchestrator.tracking import Tracker, names
from orchestrator.tracking.datasets import dataset_uses
from orchestrator.tracking.tracker import MetricPoint


def tags_of(experiment: Experiment, table: ImageTable) -> dict[str, str]:
    """Return the tags by which a run can be found in MLflow.

    Args:
        experiment: The experiment.
        table: The experiment's images.
    """
    return {
        names.METHOD_TAG: experiment.method.kind,
        names.SEED_TAG: str(experiment.seed),
        names.DATASET_TAG: table.name,
        names.DATASET_FINGERPRINT_TAG: table.fingerprint,
    }


class RunLog:
    """Log of one run, written to its tracker.

    Attributes:
        parameters: The parameters that `start` logs.
        tags: The tags that `start` logs.
        points: Every logged metric point, in the order of logging.
    """

    def __init__(self, tracker: Tracker, experiment: Experiment, scenario: Scenario) -> None:
        """Prepare parameters and tags; `start` logs them later."""
        self.parameters = flatten(experiment)
        self.tags = tags_of(experiment, scenario.table)
        self.points: list[MetricPoint] = []
        self._tracker = tracker
        self._experiment = experiment
        self._scenario = scenario

    def start(self) -> None:
        """Log the run's parameters, tags and data sets."""
        self._tracker.log_parameters(self.parameters)
        self._tracker.set_tags(self.tags)
        data, scenario = self._experiment.data, self._scenario
        self._tracker.log_datasets(dataset_uses(data, scenario.table, scenario.unlabeled))

    def add(self, result: Result) -> None:
        """Log the metrics of a finished epoch or stage."""
        self._log(points_of(result))

    def finish(self, summary: dict[str, Any]) -> None:
        """Log the final metrics of the run."""
        self._log(final_points(summary))

    def _log(self, points: Sequence[MetricPoint]) -> None:
        self.points += points
        self._tracker.log_points(points)
