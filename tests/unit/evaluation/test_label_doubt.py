"""The doubt of a label, and which labels are listed, by hand."""

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


def test_the_doubt_is_what_the_mean_belief_leaves() -> None:
    assert doubts_of(TEACHER, STUDENT).tolist() == pytest.approx([0.2, 0.8, 0.8, 0.9])


def test_contradicted_labels_are_listed_the_most_doubted_first() -> None:
    """The first label is what both say; the third is what only the teacher says."""
    found = most_doubted(TEACHER, STUDENT, LABELS)
    assert found.positions.tolist() == [3, 1, 2]
    assert found.doubts.tolist() == pytest.approx([0.9, 0.8, 0.8])
    assert (found.num_judged, found.num_contradicted, found.num_contradicted_by_both) == (4, 3, 2)


def test_a_label_that_both_say_is_not_listed_however_little_they_believe_it() -> None:
    unsure = LabelBeliefs(torch.tensor([0.01]), torch.tensor([5]))
    assert not len(most_doubted(unsure, unsure, torch.tensor([5])).positions)


@pytest.mark.parametrize(("num", "listed"), [(80, 80), (1_000, 100), (2_001, 101), (10_000, 500)])
def test_five_percent_are_listed_or_a_hundred(num: int, listed: int) -> None:
    beliefs = LabelBeliefs(torch.linspace(0, 1, num), torch.zeros(num, dtype=torch.int64))
    found = most_doubted(beliefs, beliefs, torch.ones(num, dtype=torch.int64))
    assert found.positions.tolist() == list(range(listed))
    assert found.num_contradicted == num


def test_beliefs_are_probabilities_under_the_factor_that_fits_the_labels_best() -> None:
    likelihoods = torch.full((2, 17), -9.0)
    likelihoods[:, 4] = torch.tensor([math.log(0.5), math.log(0.25)])
    beliefs = beliefs_of(likelihoods, torch.tensor([1, 0]))
    assert beliefs.believed.tolist() == pytest.approx([0.5, 0.25])
    assert beliefs.answers.tolist() == [1, 0]
