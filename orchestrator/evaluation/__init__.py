"""The accuracy matrix and every metric derived from it, each with one definition."""

from orchestrator.evaluation.accuracy_matrix import (
    AccuracyMatrix,
    accuracy_after,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forgetting_after,
    forgetting_of_task,
    last_accuracy,
    plasticity,
)
from orchestrator.evaluation.classification import accuracies, agreement

__all__ = [
    "AccuracyMatrix",
    "accuracies",
    "accuracy_after",
    "agreement",
    "average_incremental_accuracy",
    "backward_transfer",
    "forgetting",
    "forgetting_after",
    "forgetting_of_task",
    "last_accuracy",
    "plasticity",
]
