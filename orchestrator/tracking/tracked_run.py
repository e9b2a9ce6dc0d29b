"""Hold the facts about a run, for reports.

The facts are read from MLflow or, while a process computes the run, taken from that process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.config.roles import ROLES, Role
from orchestrator.tracking import names
from orchestrator.tracking.tracker import MetricPoint

History = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class TrackedRun:
    """Facts about a run, which may be open or finished.

    Attributes:
        run_id: MLflow's id of the run.
        name: Name of the run.
        experiment: Name of the run's MLflow experiment.
        experiment_id: MLflow's id of the experiment.
        status: Status of the run in MLflow's terms; RUNNING while the run is open.
        started: Start time; None if the store does not record the start.
        ended: End time; None while the run is open.
        parameters: Values of the run's configuration, by dotted path; empty for a sweep.
        tags: Values of tags, by key; the keys are constants of the module `tracking.names`.
        metrics: Latest value of each metric, by the metric's name.
        histories: (step, value) pairs ordered by step, by the metric's name; contains only metrics
            whose histories were requested.
        summary: Content of summary.json; None if the file does not exist (yet).
        environment: Content of environment.json; empty if the file does not exist.
        files: Contents of other text artifacts, by path.
        pictures: Contents of requested figures, by file name.
    """

    run_id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    started: datetime | None
    ended: datetime | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    histories: Mapping[str, History] = field(default_factory=dict)
    summary: Mapping[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Return the reason for the run's status; empty if not recorded."""
        return self.tags.get(names.STATUS_REASON_TAG, "")

    @property
    def method(self) -> str:
        """Return the kind of the run's learning method; empty if it is not recorded yet."""
        return self.tags.get(names.METHOD_TAG, "")

    @property
    def seed(self) -> str:
        """Return the run's random seed; if a trial has several seeds, commas separate the seeds."""
        return self.tags.get(names.SEED_TAG, "")

    @property
    def dataset(self) -> str:
        """Return the name of the run's data set; empty if it is not recorded yet."""
        return self.tags.get(names.DATASET_TAG, "")

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the run's data set; empty if it is not recorded yet."""
        return self.tags.get(names.DATASET_FINGERPRINT_TAG, "")

    @property
    def parent_run_id(self) -> str:
        """Return the run id of the sweep to which a trial belongs; empty if the run is no trial."""
        return self.tags.get(names.PARENT_RUN_TAG, "")

    @property
    def is_sweep(self) -> bool:
        """Return whether the run is a sweep, the parent run of trials."""
        return self.tags.get(names.SWEEP_TAG) == self.run_id

    @property
    def seconds(self) -> float | None:
        """Return the run's duration in seconds, up to now if the run is open; None if the store
        does not record the start.
        """
        if self.started is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    def matrix(self, role: Role) -> list[list[float]]:
        """Return the accuracy matrix of a role; row i has i + 1 entries.

        The matrix comes from the run's summary or, without a summary, from the metrics' histories.
        """
        if self.summary is not None and role in self.summary:
            return [list(row) for row in self.summary[role]["accuracy_matrix"]]
        return _matrix_from(self.histories, role)


def matrix_metrics(metric_names: Iterable[str]) -> list[str]:
    """Select the names of the metrics whose histories contain the accuracy matrices."""
    return [
        name
        for name in metric_names
        if name.startswith(tuple(f"{role}_accuracy/" for role in ROLES))
    ]


def histories_of(points: Iterable[MetricPoint]) -> dict[str, list[tuple[int, float]]]:
    """Return each metric's history, by the metric's name: (step, value) pairs ordered by step.

    If a step has several values, the history contains the last one.

    Args:
        points: Metric points in the order of logging.
    """
    by_name: dict[str, dict[int, float]] = {}
    for point in points:
        by_name.setdefault(point.name, {})[point.step] = point.value
    return {name: sorted(values.items()) for name, values in by_name.items()}


def _matrix_from(histories: Mapping[str, History], role: Role) -> list[list[float]]:
    accuracies = {
        (step, task): value
        for task in range(len(histories))
        for step, value in histories.get(names.task_accuracy(role, task), ())
    }
    rows: list[list[float]] = []
    # Drop the first incomplete row and all later rows: the accuracy after a task is the mean of a
    # complete row.
    while all((len(rows) + 1, task) in accuracies for task in range(len(rows) + 1)):
        rows.append([accuracies[len(rows) + 1, task] for task in range(len(rows) + 1)])
    return rows
