"""Push, pull and keep against explicit loops (patent A, claim 7 and paragraphs 58 and 69)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from orchestrator.config.teacher import JointEmbeddingConfig
from orchestrator.methods.dual_teacher.teacher.joint_embedding import (
    distances_to,
    keep_loss,
    pull_loss,
    push_loss,
    push_pull,
)

LABELS = torch.tensor([0, 0, 1, 2, 2, 2, 1])


def _random(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


EMBEDDINGS, CENTRES = _random(0, 7, 4), _random(1, 3, 4)
DISTANCES = distances_to(EMBEDDINGS, CENTRES)


def _distance(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    return float(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)))


def test_pull_is_the_mean_squared_excess_over_the_margin() -> None:
    excesses = []
    for point, label in zip(EMBEDDINGS.numpy(), LABELS.tolist(), strict=True):
        excesses.append(max(0.0, _distance(point, CENTRES[label].numpy()) - 0.9) ** 2)
    assert (
        0 < np.mean(excesses) == pytest.approx(float(pull_loss(DISTANCES, LABELS, 0.9)), rel=1e-4)
    )


def test_push_is_the_mean_squared_shortfall_of_distance_to_all_other_centres() -> None:
    lacks = []
    for point, label in zip(EMBEDDINGS.numpy(), LABELS.tolist(), strict=True):
        lacks += [
            max(0.0, 1.3 - _distance(point, CENTRES[other].numpy())) ** 2
            for other in range(3)
            if other != label
        ]
    assert 0 < np.mean(lacks) == pytest.approx(float(push_loss(DISTANCES, LABELS, 1.3)), rel=1e-4)


def test_there_is_no_pull_within_its_margin_and_no_push_beyond_it() -> None:
    centres = torch.eye(3)
    distances = distances_to(centres[LABELS] + 0.01 * _random(0, 7, 3), centres)
    assert float(pull_loss(distances, LABELS, 0.2)) == 0
    assert float(push_loss(distances, LABELS, 1.2)) == 0  # axes are √2 apart


def test_both_forces_have_finite_gradients_where_distances_are_zero() -> None:
    embeddings = torch.eye(3).requires_grad_()
    labels = torch.arange(3)
    pulled = pull_loss(distances_to(embeddings, torch.eye(3)), labels, 0.0)
    (pulled + push_loss(distances_to(embeddings, torch.eye(3)[[1, 2, 0]]), labels, 1.0)).backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_with_only_one_class_there_is_no_push() -> None:
    assert float(push_loss(DISTANCES[:, :1], torch.zeros(7, dtype=torch.int64), 2.0)) == 0


@pytest.mark.parametrize(("force", "margin"), [(push_loss, 1.3), (pull_loss, 0.3)])
def test_a_gradient_step_lowers_each_loss(force: Callable[..., Tensor], margin: float) -> None:
    embeddings = EMBEDDINGS.clone().requires_grad_()
    before = force(distances_to(embeddings, CENTRES), LABELS, margin)
    (gradient,) = torch.autograd.grad(before, [embeddings])
    assert (
        force(distances_to(embeddings.detach() - 0.1 * gradient, CENTRES), LABELS, margin)
        < before.detach()
    )


def test_push_pull_uses_the_configured_margins() -> None:
    push, pull = push_pull(
        EMBEDDINGS, LABELS, CENTRES, JointEmbeddingConfig(pull_margin=0.4, push_margin=1.1)
    )
    assert push == push_loss(DISTANCES, LABELS, 1.1)
    assert pull == pull_loss(DISTANCES, LABELS, 0.4)


def test_keep_is_the_mean_of_one_minus_cosine() -> None:
    other = _random(2, 7, 4)
    pairs = zip(EMBEDDINGS.numpy(), other.numpy(), strict=True)
    expected = np.mean([1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs])
    assert float(keep_loss(EMBEDDINGS, other)) == pytest.approx(expected, rel=1e-5)


def test_keep_is_zero_for_unchanged_directions_and_2_for_opposite_ones() -> None:
    assert float(keep_loss(2 * EMBEDDINGS, EMBEDDINGS)) == pytest.approx(0, abs=1e-6)
    assert float(keep_loss(-EMBEDDINGS, EMBEDDINGS)) == pytest.approx(2)
