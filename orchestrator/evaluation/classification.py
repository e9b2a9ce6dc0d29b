"""Accuracy of predictions, per task and over all samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

Labels = Int64[Tensor, " n"]


class Accuracies(NamedTuple):
    """One row of the accuracy matrix.

    Attributes:
        by_task: Accuracy on each seen task's samples.
        over_samples: Accuracy over all seen samples; differs from the tasks' mean where tasks
            differ in size.
    """

    by_task: list[float]
    over_samples: float


def accuracies(predictions: Labels, labels: Labels, tasks: Sequence[range]) -> Accuracies:
    """Accuracies of predicted classes.

    Args:
        predictions: Predicted class of every sample.
        labels: Real class of every sample.
        tasks: Each seen task's classes; every task must have samples.
    """
    correct = (predictions == labels).double()
    by_task = [
        correct[torch.isin(labels, torch.tensor(list(classes)))].mean().item() for classes in tasks
    ]
    return Accuracies(by_task, correct.mean().item())


def agreement(predictions: Labels, others: Labels) -> float:
    """Share of samples on which two models predict the same class, in [0, 1]."""
    return (predictions == others).double().mean().item()
