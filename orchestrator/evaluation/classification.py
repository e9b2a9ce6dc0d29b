"""Compute the accuracy of predictions, per task and over all samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

Labels = Int64[Tensor, " n"]


class Accuracies(NamedTuple):
    """Accuracies of a model after one task: a row of the accuracy matrix, and the total.

    Attributes:
        by_task: Accuracy on the samples of each seen task.
        over_samples: Accuracy over all seen samples; it differs from the mean over tasks if tasks
            differ in size.
    """

    by_task: list[float]
    over_samples: float


def accuracies(predictions: Labels, labels: Labels, tasks: Sequence[range]) -> Accuracies:
    """Return the accuracy on each task and over all samples.

    Args:
        predictions: Predicted class of every sample.
        labels: True class of every sample.
        tasks: Classes of each seen task; every task must have samples.
    """
    correct = (predictions == labels).double()
    by_task = [
        correct[torch.isin(labels, torch.tensor(list(classes)))].mean().item() for classes in tasks
    ]
    return Accuracies(by_task, correct.mean().item())


def agreement(predictions: Labels, others: Labels) -> float:
    """Return the share of samples, in [0, 1], for which two models predict the same class.

    Args:
        predictions: Predicted classes of the first model.
        others: Predicted classes of the second model, for the same samples.
    """
    return (predictions == others).double().mean().item()
