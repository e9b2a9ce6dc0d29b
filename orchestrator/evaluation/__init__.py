"""The accuracy matrix and every metric derived from it, each with one definition; `classification`
counts what is right.

Importing this package does not import torch (some seconds): reports need the metrics only.
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
