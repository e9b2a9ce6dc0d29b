"""Compute the metrics of continual learning from the accuracy matrix. `classification` computes the
accuracies in the matrix from predictions.

Importing this package does not import torch, which takes some seconds, because reports need only
the metrics.
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
