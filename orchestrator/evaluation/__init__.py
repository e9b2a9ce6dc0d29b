"""Compute the accuracy matrix and every metric derived from it; `classification` computes
accuracies from predictions.

Importing this package does not import torch (some seconds), because reports need only the metrics.
"""

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

__all__ = [
    "AccuracyMatrix",
    "accuracy_after",
    "average_incremental_accuracy",
    "backward_transfer",
    "forgetting",
    "forgetting_after",
    "forgetting_of_task",
    "last_accuracy",
    "plasticity",
]
