"""The final numbers of a run, each with a name and a word on what it means."""

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
    """One number of an accuracy matrix.

    Attributes:
        key: Its name in summary.json.
        name: For people.
        meaning: In half a sentence.
        of: From the matrix to a fraction.
        is_better_lower: Whether a small value is a good one.
    """

    key: str
    name: str
    meaning: str
    of: Callable[[AccuracyMatrix], float]
    is_better_lower: bool = False


MEASURES = (
    Measure("last_accuracy", "Last accuracy", "mean over all tasks, at the end", last_accuracy),
    Measure(
        "average_incremental_accuracy",
        "Average incremental accuracy",
        "mean of the accuracies after each task",
        average_incremental_accuracy,
    ),
    Measure(
        "forgetting",
        "Forgetting",
        "from a task’s best accuracy down to its last; lower is better",
        forgetting,
        is_better_lower=True,
    ),
    Measure(
        "backward_transfer",
        "Backward transfer",
        "what later tasks changed in earlier ones",
        backward_transfer,
    ),
    Measure(
        "plasticity", "Accuracy on new tasks", "mean, right after each was learned", plasticity
    ),
)
