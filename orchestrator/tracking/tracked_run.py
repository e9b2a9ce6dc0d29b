"""A run as values, for reports: read from MLflow, or taken from the process that computes it."""

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
    """A run, finished or not.

    Attributes:
        run_id: MLflow's id of the run.
        name: Name of the run.
        experiment: Name of its MLflow experiment.
        experiment_id: MLflow's id of the experiment.
        status: Status in MLflow's terms; RUNNING while the run is open.
        started: Start time; None if the store does not record it.
        ended: End time; None while the run is open.
        parameters: The configuration by dotted paths; empty for a sweep.
        tags: Tags by key; see `names` for keys.
        metrics: The latest value of each metric.
        histories: (step, value) pairs ordered by step, by metric name; only of requested metrics.
        summary: Content of summary.json; None if it does not exist (yet).
        environment: Content of environment.json; empty if it does not exist.
        files: Other text artifacts, by path.
        pictures: Figures, by file name; only requested ones.
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
        """Return the kind of method; empty if the run has not recorded it yet."""
        return self.tags.get(names.METHOD_TAG, "")

    @property
    def seed(self) -> str:
        """Return the seed; for a trial, its seeds separated by commas."""
        return self.tags.get(names.SEED_TAG, "")

    @property
    def dataset(self) -> str:
        """Return the data set's name."""
        return self.tags.get(names.DATASET_TAG, "")

    @property
    def fingerprint(self) -> str:
        """Return the data set's fingerprint."""
        return self.tags.get(names.DATASET_FINGERPRINT_TAG, "")

    @property
    def parent_run_id(self) -> str:
        """Return the run id of a trial's sweep; empty if this run is not a trial."""
        return self.tags.get(names.PARENT_RUN_TAG, "")

    @property
    def is_sweep(self) -> bool:
        """Return whether this is the parent run of a sweep's trials."""
        return self.tags.get(names.SWEEP_TAG) == self.run_id

    @property
    def seconds(self) -> float | None:
        """Return the run's duration, for an open run its duration so far; None if the store does
        not record the start.
        """
        if self.started is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    def matrix(self, role: Role) -> list[list[float]]:
        """Return the accuracy matrix from the summary or, without a summary, from the metrics
        logged so far. Row i has i + 1 entries.
        """
        if self.summary is not None and role in self.summary:
            return [list(row) for row in self.summary[role]["accuracy_matrix"]]
        return _matrix_from(self.histories, role)


def matrix_metrics(metric_names: Iterable[str]) -> list[str]:
    """Return the names of metrics whose histories hold the accuracy matrices."""
    return [
        name
        for name in metric_names
        if name.startswith(tuple(f"{role}_accuracy/" for role in ROLES))
    ]


def histories_of(points: Iterable[MetricPoint]) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) pairs of logged points, by metric name. Of several values at one step,
    the last counts.
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
    # Drop an incomplete row and all rows after it: the mean of an incomplete row would not be the
    # accuracy.
    while all((len(rows) + 1, task) in accuracies for task in range(len(rows) + 1)):
        rows.append([accuracies[len(rows) + 1, task] for task in range(len(rows) + 1)])
    return rows
