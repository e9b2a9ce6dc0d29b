"""Define the final metrics that reports show for a run, with names and short explanations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.evaluation import (
    AccuracyMatrix,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    last_accuracy,
    plasticity,
)


@dataclass(frozen=True, slots=True)
class Measure:
    """Final metric that is computed from an accuracy matrix.

    Attributes:
        key: Name of the metric in summary.json.
        name: Name of the metric in reports.
        meaning: A short explanation, shown in reports.
        of: Function that computes the metric, as a fraction, from an accuracy matrix.
        is_better_lower: Whether lower values are better.
    """

    key: str
    name: str
    meaning: str
    of: Callable[[AccuracyMatrix], float]
    is_better_lower: bool = False


MEASURES = (
    Measure(
        "last_accuracy", "Last accuracy", "mean accuracy over all tasks, at the end", last_accuracy
    ),
    Measure(
        "average_incremental_accuracy",
        "Average incremental accuracy",
        "mean of the accuracies after each task",
        average_incremental_accuracy,
    ),
    Measure(
        "forgetting",
        "Forgetting",
        "drop from a task’s best accuracy to its last; lower is better",
        forgetting,
        is_better_lower=True,
    ),
    Measure(
        "backward_transfer",
        "Backward transfer",
        "mean change of a task’s accuracy through later tasks",
        backward_transfer,
    ),
    Measure(
        "plasticity",
        "Accuracy on new tasks",
        "mean accuracy on each task right after the task was learned",
        plasticity,
    ),
)
