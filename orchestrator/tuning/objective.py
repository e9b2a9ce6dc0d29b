"""The objective of a sweep: metrics of both accuracy matrices, weighted, on validation data unless
the search space says test data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    """One number for how good a configuration is.

    Attributes:
        weights: By metric, such as `student/average_incremental_accuracy`.
        split: Whose accuracies count.
    """

    weights: Mapping[str, float]
    split: Split

    @classmethod
    def of(cls, search_space: SearchSpace) -> Objective:
        """Return the objective of a search space."""
        return cls(search_space.weights, Split(search_space.split))

    def value(self, matrices: Mapping[Role, AccuracyMatrix]) -> float:
        """Return the weighted sum.

        Args:
            matrices: By role, of the tasks learned so far; row i has i + 1 entries.
        """
        return sum(weight * _measure(name, matrices) for name, weight in self.weights.items())


def _measure(name: str, matrices: Mapping[Role, AccuracyMatrix]) -> float:
    role, _, measure = name.partition("/")
    return MEASURE_FUNCTIONS[measure](matrices["teacher" if role == "teacher" else "student"])
