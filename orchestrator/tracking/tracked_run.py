"""A run as reports see it: values only, whether read back from MLflow or still in the process that
computes it.
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
    """What is known of a run, finished or not.

    Attributes:
        run_id: MLflow's.
        name: What the run is called.
        experiment: The MLflow experiment in which it lies.
        experiment_id: MLflow's.
        status: In MLflow's words; RUNNING while it is open.
        started: When it began; None where the store does not say.
        ended: When it ended; None while it is open.
        parameters: The configuration by dotted paths; empty for a sweep.
        tags: See `names` for keys.
        metrics: The latest value of each.
        histories: (step, value) pairs by metric name, by step; only of those metrics that were
            asked for.
        summary: The content of summary.json; None where there is none (yet).
        environment: The content of environment.json; empty where there is none.
        files: Other text artifacts, by path.
        pictures: Drawn artifacts, by file name; only those that were asked for.
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
        """Why it ended as it did; empty where nobody said."""
        return self.tags.get(names.STATUS_REASON_TAG, "")

    @property
    def method(self) -> str:
        """The kind of method; empty where the run has not come so far as to say."""
        return self.tags.get(names.METHOD_TAG, "")

    @property
    def seed(self) -> str:
        """The seed; a trial's seeds with commas."""
        return self.tags.get(names.SEED_TAG, "")

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.tags.get(names.DATASET_TAG, "")

    @property
    def fingerprint(self) -> str:
        """The data set's fingerprint."""
        return self.tags.get(names.DATASET_FINGERPRINT_TAG, "")

    @property
    def parent_run_id(self) -> str:
        """Of a trial: its sweep; empty for any other run."""
        return self.tags.get(names.PARENT_RUN_TAG, "")

    @property
    def is_sweep(self) -> bool:
        """Whether this is the run above a sweep's trials."""
        return self.tags.get(names.SWEEP_TAG) == self.run_id

    @property
    def seconds(self) -> float | None:
        """How long it took, or for an open one has taken; None where the store does not say when it
        began.
        """
        if self.started is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    def matrix(self, role: Role) -> list[list[float]]:
        """The accuracy matrix: of the summary, else from the metrics as far as they have come; row
        i has i + 1 entries.
        """
        if self.summary is not None and role in self.summary:
            return [list(row) for row in self.summary[role]["accuracy_matrix"]]
        return _matrix_from(self.histories, role)


def matrix_metrics(metric_names: Iterable[str]) -> list[str]:
    """Those of the names whose histories hold the accuracy matrices."""
    return [
        name
        for name in metric_names
        if name.startswith(tuple(f"{role}_accuracy/" for role in ROLES))
    ]


def histories_of(points: Iterable[MetricPoint]) -> dict[str, list[tuple[int, float]]]:
    """Metric points as a process has logged them, by name and step; of several at one step the last
    counts.
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
    # A row that has not arrived as a whole, and what follows it, is not shown: its mean would be
    # another number.
    while all((len(rows) + 1, task) in accuracies for task in range(len(rows) + 1)):
        rows.append([accuracies[len(rows) + 1, task] for task in range(len(rows) + 1)])
    return rows
