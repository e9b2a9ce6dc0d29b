"""Classifiers that grow."""

import math

import pytest
import torch
from torch.nn import functional

from orchestrator.models import CosineClassifier, LinearClassifier


@pytest.fixture
def grown() -> CosineClassifier:
    """Return a classifier of two classes with learned residuals, grown by one class."""
    torch.manual_seed(0)
    classifier = CosineClassifier(4)
    classifier.anchor(torch.randn(2, 4))
    with torch.no_grad():
        classifier.residuals.copy_(torch.randn(2, 4))
    classifier.anchor(torch.randn(3, 4))
    return classifier


def test_logits_are_sixteen_times_length_and_cosine() -> None:
    classifier = CosineClassifier(2)
    classifier.anchor(torch.tensor([[3.0, 0.0], [0.0, 0.5], [-1.0, -1.0]]))
    logits = classifier(torch.tensor([[5.0, 0.0], [2.0, 2.0]]))
    # by hand: lengths (3, 1/2, √2), cosines (1, 0, -1/√2) and (1/√2, 1/√2, -1)
    root = 1 / math.sqrt(2)
    torch.testing.assert_close(
        logits, 16 * torch.tensor([[3.0, 0.0, -1.0], [3 * root, root / 2, -2 * root]])
    )


def test_a_classifier_starts_without_classes() -> None:
    classifier = CosineClassifier(4)
    assert classifier.num_classes == 0
    assert classifier(torch.randn(3, 4)).shape == (3, 0)


def test_growing_keeps_the_residuals_of_old_classes_and_starts_new_ones_at_zero(
    grown: CosineClassifier,
) -> None:
    assert grown.num_classes == 3
    torch.manual_seed(0)
    torch.randn(2, 4)
    learned = torch.randn(2, 4)
    torch.testing.assert_close(grown.residuals[:2], learned)
    assert (grown.residuals[2] == 0).all()
    assert grown.residuals.requires_grad


def test_residuals_rotate_directions_and_keep_the_length_of_anchors(
    grown: CosineClassifier,
) -> None:
    torch.testing.assert_close(grown.directions().norm(dim=1), grown.anchors.norm(dim=1))
    torch.testing.assert_close(grown.directions()[2], grown.anchors[2])
    assert not torch.allclose(grown.directions()[:2], grown.anchors[:2])


def test_anchoring_again_replaces_anchors_and_keeps_residuals(grown: CosineClassifier) -> None:
    before = grown.residuals.detach().clone()
    directions = torch.randn(3, 4)
    grown.anchor(directions)
    torch.testing.assert_close(grown.anchors, directions)
    torch.testing.assert_close(grown.residuals, before)


def test_a_rebased_classifier_predicts_as_before_on_changed_axes(
    grown: CosineClassifier,
) -> None:
    embeddings, change = torch.randn(5, 4), torch.randn(4, 4)
    # logits are dot products with normalised embeddings: only the embeddings' lengths differ
    expected = grown(embeddings) * embeddings.norm(dim=1, keepdim=True)
    grown.rebase(change)
    moved = embeddings @ change
    torch.testing.assert_close(
        grown(moved) * moved.norm(dim=1, keepdim=True), expected, rtol=1e-4, atol=1e-3
    )
    assert (grown.residuals == 0).all()


def test_an_earlier_tasks_classifier_has_only_its_classes_and_does_not_change(
    grown: CosineClassifier,
) -> None:
    embeddings = torch.randn(5, 4)
    old = grown.restricted_to(2)
    expected = grown(embeddings)[:, :2].detach().clone()
    assert old.num_classes == 2
    assert not any(parameter.requires_grad for parameter in old.parameters())
    with torch.no_grad():
        grown.residuals.add_(1)
        grown.anchors.mul_(-1)
    torch.testing.assert_close(old(embeddings), expected)


def test_logits_for_other_anchors_use_the_classifiers_own_residuals(
    grown: CosineClassifier,
) -> None:
    embeddings = torch.randn(5, 4)
    torch.testing.assert_close(grown.logits(embeddings, grown.anchors), grown(embeddings))
    others = functional.normalize(torch.randn(3, 4), dim=1)
    expected = torch.stack(
        [
            16 * functional.cosine_similarity(embeddings, others[c] + grown.residuals[c], dim=1)
            for c in range(3)
        ],
        dim=1,
    )
    torch.testing.assert_close(grown.logits(embeddings, others), expected)


def test_a_linear_classifier_applies_its_weights_and_bias() -> None:
    classifier = LinearClassifier(
        torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]), torch.tensor([0.0, 0.0, 10.0])
    )
    assert classifier.num_classes == 3
    assert classifier(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 4.0, 12.0]]
    assert not list(classifier.parameters())
