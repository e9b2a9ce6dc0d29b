"""Compute the objectives of a sweep from the accuracy matrices of both roles, and from the costs of
a trial and of its networks.

Accuracies are measured on validation data, unless the search space requests test data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.config.objective import WORKER_SECONDS
from orchestrator.config.roles import Role
from orchestrator.config.search_space import SearchSpace
from orchestrator.data import Split
from orchestrator.evaluation import (
    AccuracyMatrix,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    last_accuracy,
)

MEASURE_FUNCTIONS: dict[str, Callable[[AccuracyMatrix], float]] = {
    "last_accuracy": last_accuracy,
    "average_incremental_accuracy": average_incremental_accuracy,
    "forgetting": forgetting,
    "backward_transfer": backward_transfer,
}


@dataclass(frozen=True)
class Objective:
    """The objective, or the several objectives, that measure how good a configuration is.

    Attributes:
        weights: Weights by metric, such as `student/average_incremental_accuracy`. If there are
            several objectives, the mapping contains only the first objective, with weight 1.
        split: Split of the images on which accuracies are measured.
        names: Metrics of several objectives; empty for a single objective.
        known: Costs of a configuration's networks that are known before training, by metric.
    """

    weights: Mapping[str, float]
    split: Split
    names: tuple[str, ...] = ()
    known: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, search_space: SearchSpace) -> Objective:
        """Return the objective of a search space."""
        names = tuple(search_space.metrics or ())
        return cls(search_space.weights, Split(search_space.split), names)

    def knowing(self, known: Mapping[str, float]) -> Objective:
        """Return a copy of this objective for a configuration with known costs of its networks."""
        return replace(self, known=known)

    @property
    def reads_worker_seconds(self) -> bool:
        """Return whether the objective depends on a trial's worker-seconds."""
        return WORKER_SECONDS in (*self.weights, *self.names)

    def value(self, matrices: Mapping[Role, AccuracyMatrix], worker_seconds: float = 0.0) -> float:
        """Return the weighted sum of the metrics or, if there are several objectives, the first.

        Args:
            matrices: Accuracy matrices of the tasks learned so far, by role; row i has i + 1
                entries.
            worker_seconds: Worker time of all stages learned so far.
        """
        return sum(
            weight * self._measure(name, matrices, worker_seconds)
            for name, weight in self.weights.items()
        )

    def values(
        self, matrices: Mapping[Role, AccuracyMatrix], worker_seconds: float = 0.0
    ) -> dict[str, float]:
        """Return all objectives by metric, or an empty mapping if there is only one objective.

        Args:
            matrices: Accuracy matrices of the tasks learned so far, by role.
            worker_seconds: Worker time of all stages learned so far.
        """
        return {name: self._measure(name, matrices, worker_seconds) for name in self.names}

    def _measure(
        self, name: str, matrices: Mapping[Role, AccuracyMatrix], worker_seconds: float
    ) -> float:
        if name == WORKER_SECONDS:
            return worker_seconds
        if name in self.known:
            return self.known[name]
        role, _, measure = name.partition("/")
        return MEASURE_FUNCTIONS[measure](matrices["teacher" if role == "teacher" else "student"])
