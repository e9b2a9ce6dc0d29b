"""Held-out images, and the share of a refinement that is kept (docs/method.md, section 2 (d))."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from orchestrator.methods.dual_teacher.teacher.refinement import (
    STRENGTHS,
    FixedPart,
    Head,
    _balanced_gain,
    best_strength,
    hold_out,
    scaled,
)
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.views import ClassFeatures
from orchestrator.models import CosineClassifier, WhitenedEmbedding

LABELS = torch.tensor([0, 0, 1, 1])


def _statistics() -> ClassStatistics:
    """Return two classes on the axes of a plane, estimated from many images."""
    return ClassStatistics(
        means=torch.eye(2),
        counts=torch.tensor([100_000, 100_000]),
        radii=torch.ones(2),
        factors=torch.zeros(2, 0, 2),
        covariance=torch.eye(2),
    )


def _heads(swap: float) -> tuple[Head, Head]:
    """Return an initial head, and one whose classes have moved the given share of the way to each
    other's position.
    """
    start = Head(WhitenedEmbedding(2, 2, 4), CosineClassifier(2)).anchored(_statistics())
    learned = copy.deepcopy(start)
    with torch.no_grad():
        learned.classifier.residuals.copy_(swap * (torch.eye(2).flip(0) - torch.eye(2)))
    return start, learned


AS_KNOWN = torch.tensor([[1.0, 0.1], [0.9, 0.2], [0.1, 1.0], [0.3, 0.8]])
SWAPPED = AS_KNOWN.flip(1)


def _strength(swap: float, held_out: Tensor) -> float:
    start, learned = _heads(swap)
    return best_strength(learned, start, _statistics(), held_out, LABELS, len(LABELS))


def test_a_harmful_refinement_is_dropped() -> None:
    assert _strength(3.0, AS_KNOWN) == 0


def test_a_refinement_that_changes_no_decision_is_dropped() -> None:
    assert _strength(0.05, AS_KNOWN) == 0


# the classes have swapped as soon as strength x swap exceeds a half
@pytest.mark.parametrize(("swap", "expected"), [(0.6, 1.0), (1.5, 0.5), (3.0, 0.25)])
def test_a_helpful_refinement_is_kept_only_as_far_as_needed(swap: float, expected: float) -> None:
    assert _strength(swap, SWAPPED) == expected


def test_gain_is_balanced_over_classes_of_different_size() -> None:
    # 100 images of class 0, 80 of them as expected, and 20 of class 1 that look like class 0. The
    # initial head has 80/100 and 0/20 correct; with the classes swapped 20/100 and 20/20: fewer
    # images in total, but 0.6 instead of 0.4 in the mean over classes. The standard error of that
    # 0.2 is sqrt((1 - 0.6²) / 100) / 2 = 0.04
    start, learned = _heads(3.0)
    held_out = torch.tensor([[1.0, 0.1]] * 80 + [[0.1, 1.0]] * 20 + [[1.0, 0.1]] * 20)
    assert (
        best_strength(
            learned, start, _statistics(), held_out, torch.tensor([0] * 100 + [1] * 20), 120
        )
        == 0.25
    )


def test_one_more_correct_image_of_few_is_not_significant() -> None:
    # class 0 is as expected; of class 1 only the last of ten looks like class 0. Correcting it
    # costs nothing: a gain of 0.05 with a standard error of sqrt(0.1 · 0.9 / 10) / 2 = 0.047
    start, learned = _heads(0.0)
    with torch.no_grad():
        learned.classifier.residuals[1] = torch.tensor([0.9, 0.0])
    held_out = torch.tensor([[1.0, 0.1]] * 10 + [[0.1, 1.0]] * 9 + [[0.75, 0.7]])
    labels = torch.tensor([0] * 10 + [1] * 10)
    gone = scaled(learned, start, 1.0)
    hits = gone.classifier(gone.embedding.embed_normalized(held_out)).argmax(dim=1) == labels
    assert hits.all()
    assert best_strength(learned, start, _statistics(), held_out, labels, 20) == 0


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_a_strength_is_judged_by_the_head_that_it_would_keep(strength: float) -> None:
    """A strength whose head is always correct is chosen, even if embedding and anchors moved."""
    start, learned = _heads(0.0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in learned.learned():
            parameter.copy_(1.5 * torch.randn(parameter.shape, generator=generator))
    held_out = torch.rand(400, 2, generator=generator)

    def answers(strength: float) -> Tensor:
        kept = scaled(learned, start, strength).anchored(_statistics())
        logits: Tensor = kept.classifier(kept.embedding.embed_normalized(held_out))
        return logits.argmax(dim=1)

    labels = answers(strength)
    for other in set(STRENGTHS) - {strength}:
        assert float((answers(other) != labels).float().mean()) > 0.02, (
            "these heads must differ for the test to say anything"
        )
    assert best_strength(learned, start, _statistics(), held_out, labels, 400) == strength


def test_scaling_interpolates_the_parameters_and_changes_neither_head() -> None:
    start, learned = _heads(1.0)
    with torch.no_grad():
        for parameter in learned.embedding.adapter.parameters():
            parameter.add_(1.0)
    before = [parameter.detach().clone() for parameter in (*start.learned(), *learned.learned())]
    for strength in (0.0, 0.25, 1.0):
        for got, a, b in zip(
            scaled(learned, start, strength).learned(),
            start.learned(),
            learned.learned(),
            strict=True,
        ):
            torch.testing.assert_close(got, a + strength * (b - a))
    for parameter, was in zip((*start.learned(), *learned.learned()), before, strict=True):
        assert torch.equal(parameter, was)


@pytest.mark.parametrize(("num", "num_held_out"), [(1, 0), (4, 0), (5, 1), (6, 1), (40, 8)])
def test_every_image_is_either_trained_on_or_held_out(num: int, num_held_out: int) -> None:
    features = [ClassFeatures(torch.zeros(num, 2), torch.zeros(0, num, 2))] * 2
    for learning, judging in hold_out(features, 0.2, torch.Generator().manual_seed(0)):
        assert len(judging) == num_held_out
        assert not set(learning.tolist()) & set(judging.tolist())
        assert sorted(learning.tolist() + judging.tolist()) == list(range(num))


def test_a_class_is_never_held_out_completely() -> None:
    features = [ClassFeatures(torch.zeros(5, 2), torch.zeros(0, 5, 2))]
    ((learning, _),) = hold_out(features, 0.5, torch.Generator().manual_seed(0))
    assert len(learning)


def test_an_image_that_represents_several_classes_is_one_piece_of_evidence() -> None:
    # One of ten images is corrected, and with it its copy in another class: a gain of 0.1 whose
    # standard error is that of ten images, sqrt(0.1 · 0.9 / 10) = 0.095; for twenty independent
    # images it would be sqrt(0.1 · 0.9 / 20) = 0.067
    differences = torch.tensor([1.0] + [0.0] * 9)
    labels = torch.tensor([1] * 10 + [0] * 10)
    assert _balanced_gain(differences.repeat(2), labels, 10) == pytest.approx((0.1, 0.3 / 10**0.5))
    assert _balanced_gain(differences.repeat(2), labels, 20) == pytest.approx((0.1, 0.3 / 20**0.5))


def test_the_fixed_part_and_the_adapter_add_up_to_the_embedding() -> None:
    torch.manual_seed(0)
    embedding = WhitenedEmbedding(3, 2, 4)
    embedding.set_standardization(torch.randn(3), torch.rand(3) + 0.1)
    with torch.no_grad():
        embedding.whitening.normal_()
        for parameter in embedding.adapter.parameters():
            parameter.normal_()
        features = torch.randn(2, 5, 3)
        expected = embedding.embed_normalized(features.flatten(0, 1)).unflatten(0, (2, 5))
        part = FixedPart.of(embedding, features)
        torch.testing.assert_close(part.embedded_by(embedding), expected)
        chosen = (torch.tensor([1, 0]), torch.tensor([4, 2]))
        torch.testing.assert_close(part[chosen].embedded_by(embedding), expected[chosen])
