"""Accuracy by task and over samples: they differ where tasks differ in size."""

import pytest
import torch

from orchestrator.evaluation.classification import accuracies, agreement


def test_sample_and_task_accuracy_differ_with_unequal_tasks() -> None:
    # task 0 (classes 0, 1): 8 samples, 6 right; task 1 (class 2): 2 samples, none right
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    predictions = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 0, 1])
    found = accuracies(predictions, labels, [range(2), range(2, 3)])
    assert found.by_task == [0.75, 0.0]
    assert found.over_samples == 0.6
    assert sum(found.by_task) / 2 == 0.375


def test_with_equal_task_sizes_the_mean_over_tasks_is_the_sample_accuracy() -> None:
    labels = torch.arange(6)
    found = accuracies(torch.tensor([0, 1, 2, 0, 0, 0]), labels, [range(3), range(3, 6)])
    assert found.by_task == [1.0, 0.0]
    assert found.over_samples == 0.5


def test_an_error_counts_for_the_true_class_not_the_predicted_one() -> None:
    found = accuracies(torch.tensor([0, 0]), torch.tensor([0, 1]), [range(1), range(1, 2)])
    assert found.by_task == [1.0, 0.0]


def test_accuracies_are_not_rounded() -> None:
    found = accuracies(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 0]), [range(1)])
    assert found.by_task[0] == pytest.approx(1 / 3, abs=1e-15)


def test_agreement_is_the_share_of_equal_predictions_right_or_wrong() -> None:
    assert agreement(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 0, 0])) == 0.5
    assert agreement(torch.tensor([1, 2]), torch.tensor([1, 2])) == 1
