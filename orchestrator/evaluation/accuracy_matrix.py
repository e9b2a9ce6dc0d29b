"""Define the metrics of continual learning (docs/method.md, section 4). All metrics are fractions,
not percentages.

`R[i][j]` is the accuracy on the test data of task j after learning task i; row i has i + 1 entries.
N is the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

AccuracyMatrix = Sequence[Sequence[float]]


def accuracy_after(matrix: AccuracyMatrix, task: int) -> float:
    """Return the accuracy after task i, `A_i = mean_{j <= i} R[i][j]`, in [0, 1]. All tasks have
    equal weight, even if they differ in size.
    """
    return fmean(matrix[task])


def last_accuracy(matrix: AccuracyMatrix) -> float:
    """Return the accuracy after the last task, `A_{N-1}`, in [0, 1]."""
    return accuracy_after(matrix, len(matrix) - 1)


def average_incremental_accuracy(matrix: AccuracyMatrix) -> float:
    """Return the mean of the accuracies after each task, `mean_i A_i`, in [0, 1]."""
    return fmean(accuracy_after(matrix, task) for task in range(len(matrix)))


def forgetting_of_task(matrix: AccuracyMatrix, learned: int, task: int) -> float:
    """Return the forgetting of task j after task i > j (Chaudhry et al. 2018), in [-1, 1].

    The forgetting is `max_{j <= l < i} R[l][j] - R[i][j]`. The maximum is over *earlier* rows, so
    the forgetting is negative if the accuracy on task j is higher after task i than ever before.
    """
    return max(matrix[row][task] for row in range(task, learned)) - matrix[learned][task]


def forgetting_after(matrix: AccuracyMatrix, learned: int) -> float:
    """Return `F_i`, the mean forgetting of all tasks before i, in [-1, 1]; 0 after the first
    task.
    """
    return (
        fmean(forgetting_of_task(matrix, learned, task) for task in range(learned))
        if learned
        else 0.0
    )


def forgetting(matrix: AccuracyMatrix) -> float:
    """Return the forgetting after the last task, `F_{N-1}`, in [-1, 1]."""
    return forgetting_after(matrix, len(matrix) - 1)


def backward_transfer(matrix: AccuracyMatrix) -> float:
    """Return `mean_{j < N-1} (R[N-1][j] - R[j][j])`, the effect of later tasks on earlier ones, in
    [-1, 1]; 0 for a single task.
    """
    last = len(matrix) - 1
    return fmean(matrix[last][task] - matrix[task][task] for task in range(last)) if last else 0.0


def plasticity(matrix: AccuracyMatrix) -> float:
    """Return `mean_j R[j][j]`, the mean accuracy on each task right after learning it, in [0,
    1].
    """
    return fmean(matrix[task][task] for task in range(len(matrix)))
