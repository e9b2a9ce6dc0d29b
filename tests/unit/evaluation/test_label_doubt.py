"""The doubt of each label and the list of doubted labels, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from orchestrator.evaluation.label_doubt import (
    LabelBeliefs,
    beliefs_of,
    doubts_of,
    most_doubted,
)

LABELS = torch.tensor([0, 1, 2, 0])
TEACHER = LabelBeliefs(torch.tensor([0.9, 0.1, 0.3, 0.0]), torch.tensor([0, 2, 2, 1]))
STUDENT = LabelBeliefs(torch.tensor([0.7, 0.3, 0.1, 0.2]), torch.tensor([0, 2, 0, 2]))


def test_doubt_is_one_minus_the_mean_belief() -> None:
    assert doubts_of(TEACHER, STUDENT).tolist() == pytest.approx([0.2, 0.8, 0.8, 0.9])


def test_contradicted_labels_are_listed_the_most_doubted_first() -> None:
    """Both models predict the first label; only the teacher predicts the third."""
    found = most_doubted(TEACHER, STUDENT, LABELS)
    assert found.positions.tolist() == [3, 1, 2]
    assert found.doubts.tolist() == pytest.approx([0.9, 0.8, 0.8])
    assert (found.num_judged, found.num_contradicted, found.num_contradicted_by_both) == (4, 3, 2)


def test_a_label_that_both_models_predict_is_not_listed_however_low_their_belief() -> None:
    unsure = LabelBeliefs(torch.tensor([0.01]), torch.tensor([5]))
    assert not len(most_doubted(unsure, unsure, torch.tensor([5])).positions)


@pytest.mark.parametrize(("num", "listed"), [(80, 80), (1_000, 100), (2_001, 101), (10_000, 500)])
def test_at_least_a_hundred_labels_are_listed_or_five_percent(num: int, listed: int) -> None:
    beliefs = LabelBeliefs(torch.linspace(0, 1, num), torch.zeros(num, dtype=torch.int64))
    found = most_doubted(beliefs, beliefs, torch.ones(num, dtype=torch.int64))
    assert found.positions.tolist() == list(range(listed))
    assert found.num_contradicted == num


def test_beliefs_are_probabilities_under_the_best_fitting_factor() -> None:
    likelihoods = torch.full((2, 17), -9.0)
    likelihoods[:, 4] = torch.tensor([math.log(0.5), math.log(0.25)])
    beliefs = beliefs_of(likelihoods, torch.tensor([1, 0]))
    assert beliefs.believed.tolist() == pytest.approx([0.5, 0.25])
    assert beliefs.answers.tolist() == [1, 0]
