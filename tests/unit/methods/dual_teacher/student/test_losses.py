"""The distillation losses against formulas worked by hand (patent A, claim 8; patent B, step 6)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from orchestrator.methods.dual_teacher.student.losses import (
    embedding_loss,
    stability_loss,
    transfer_loss,
)
from orchestrator.methods.dual_teacher.student.transfer import transfer_target


def _random(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_embedding_loss_is_the_mean_squared_chord_between_directions() -> None:
    student, teacher = _random(0, 7, 5), _random(1, 7, 5)
    chords = []
    for s, t in zip(student.numpy(), teacher.numpy(), strict=True):
        cosine = s @ t / np.linalg.norm(s) / np.linalg.norm(t)
        chords.append((2 * np.sin(np.arccos(cosine) / 2)) ** 2)
    assert float(embedding_loss(student, teacher)) == pytest.approx(np.mean(chords))


def test_embedding_loss_is_0_for_equal_and_4_for_opposite_directions() -> None:
    embeddings = _random(0, 7, 5)
    assert float(embedding_loss(3 * embeddings, embeddings)) == pytest.approx(0, abs=1e-9)
    assert float(embedding_loss(-embeddings, embeddings)) == pytest.approx(4)


@given(st.integers(0, 10_000))
def test_embedding_loss_is_within_0_and_4(seed: int) -> None:
    assert 0 <= float(embedding_loss(_random(seed, 3, 2), _random(seed + 1, 3, 2))) <= 4


@pytest.mark.parametrize(
    "ratio", [0.0, 0.3, 0.8, 1.0, torch.tensor([0.0, 0.3, 0.8, 1.0, 0.5])], ids=str
)
def test_transfer_loss_at_temperature_1_has_the_gradient_of_the_divergence_from_the_target(
    ratio: float | Tensor,
) -> None:
    labels = torch.tensor([0, 3, 2, 1, 1])
    teacher_logits, student_logits = _random(1, 5, 4), _random(2, 5, 4).requires_grad_()
    transfer_loss(student_logits, teacher_logits, labels, ratio, 1.0).backward()

    # KL(target || P) with P = softmax(logits) has the gradient P - target
    target = transfer_target(teacher_logits.softmax(dim=1), labels, ratio)
    expected = (student_logits.detach().softmax(dim=1) - target) / len(labels)
    assert student_logits.grad is not None
    np.testing.assert_allclose(student_logits.grad.numpy(), expected.numpy(), atol=1e-12)


def test_transfer_loss_weighs_the_soft_part_by_temperature_squared() -> None:
    student, teacher, temperature, ratio = _random(0, 3, 4), _random(1, 3, 4), 2.5, 0.7
    labels = torch.tensor([3, 0, 1])
    soft, hard = [], []
    for s, t, label in zip(student.numpy(), teacher.numpy(), labels.tolist(), strict=True):
        p = np.exp(s / temperature) / np.exp(s / temperature).sum()
        q = np.exp(t / temperature) / np.exp(t / temperature).sum()
        soft.append(float((q * np.log(q / p)).sum()))
        hard.append(float(-np.log(np.exp(s[label]) / np.exp(s).sum())))
    expected = ratio * temperature**2 * np.mean(soft) + (1 - ratio) * np.mean(hard)
    assert float(transfer_loss(student, teacher, labels, ratio, temperature)) == pytest.approx(
        expected
    )


def test_transfer_loss_of_samples_is_the_mean_of_each_samples_loss() -> None:
    student, teacher, labels = _random(0, 3, 4), _random(1, 3, 4), torch.tensor([3, 0, 1])
    ratios = torch.tensor([0.1, 0.9, 0.4])
    of_one = [
        float(transfer_loss(student[[i]], teacher[[i]], labels[[i]], float(ratios[i]), 2.5))
        for i in range(3)
    ]
    together = transfer_loss(student, teacher, labels, ratios, 2.5)
    assert float(together) == pytest.approx(np.mean(of_one))


def test_transfer_loss_is_zero_where_the_student_equals_a_trusted_teacher() -> None:
    logits = _random(0, 3, 4)
    assert float(transfer_loss(logits, logits, torch.tensor([0, 1, 2]), 1.0, 4.0)) == pytest.approx(
        0, abs=1e-12
    )


def test_stability_is_the_squared_distance_in_units_of_the_variance() -> None:
    before = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert float(stability_loss(before, before)) == 0
    moved = before + torch.tensor([2.0, 0, 0, 0])
    torch.testing.assert_close(stability_loss(moved, before), 4 / before.var(dim=0).sum())
    torch.testing.assert_close(
        stability_loss(10 * moved, 10 * before), stability_loss(moved, before)
    )


def test_stability_of_a_single_image_is_finite() -> None:
    """A worker's share of a batch may be a single image."""
    before = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(stability_loss(before + 1, before), torch.tensor(2 / 25))
