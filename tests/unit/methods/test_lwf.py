"""Learning without forgetting against NumPy, and beside fine-tuning on a few digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from orchestrator.config.methods import FinetuningConfig, LwfConfig
from orchestrator.data import Split
from orchestrator.methods.lwf import METHOD
from orchestrator.models.network import predict
from tests.unit.methods.few_digits import (
    Digits,
    accuracy,
    experiment_with,
    learn,
    of_classes,
    same_weights,
)

Array = npt.NDArray[Any]
LOGITS = np.array([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, -1.0, 2.0], [2.0, 2.0, 1.0, 0.0]])
PREVIOUS = np.array([[2.0, -1.0], [0.5, 1.5], [-3.0, 1.0]])
LABELS = np.array([3, 2, 3])


def log_softmax(logits: Array) -> Array:
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 2.0), (3.0, 1.0), (0.5, 4.0)])
def test_the_loss_is_cross_entropy_of_new_classes_and_distillation_of_old_ones(
    weight: float, temperature: float
) -> None:
    method = LwfConfig(distillation_weight=weight, temperature=temperature)
    seen: list[Tensor] = []

    def before(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return torch.from_numpy(PREVIOUS)

    loss = METHOD.loss(experiment_with(method), before)
    inputs = torch.zeros(3, 5)
    found = loss(torch.from_numpy(LOGITS), inputs, torch.from_numpy(LABELS))
    classification = -log_softmax(LOGITS[:, 2:])[range(3), LABELS - 2].mean()
    targets = np.exp(PREVIOUS / temperature)
    targets /= targets.sum(axis=1, keepdims=True)
    distillation = -(targets * log_softmax(LOGITS[:, :2] / temperature)).sum(axis=1).mean()
    assert float(found) == pytest.approx(classification + weight * distillation)
    assert seen == [inputs]


def test_a_single_new_class_is_compared_with_the_old_ones() -> None:
    method = LwfConfig(distillation_weight=0.0)
    loss = METHOD.loss(experiment_with(method), lambda _: torch.from_numpy(LOGITS[:, :3]))
    labels = np.full(3, 3)
    found = loss(torch.from_numpy(LOGITS), torch.zeros(3, 5), torch.from_numpy(labels))
    assert float(found) == pytest.approx(-log_softmax(LOGITS)[:, 3].mean())


def test_old_classes_are_remembered_where_fine_tuning_forgets_them(digits: Digits) -> None:
    old, every = of_classes(digits[Split.TEST], range(2)), digits[Split.TEST]
    first, distilled = learn(experiment_with(LwfConfig(), epochs=20), digits)
    fine_tuned_first, fine_tuned = learn(experiment_with(FinetuningConfig(), epochs=20), digits)
    assert same_weights(first, fine_tuned_first)
    assert accuracy(distilled, old) > accuracy(fine_tuned, old) + 0.5
    assert accuracy(distilled, every) > accuracy(fine_tuned, every)


def test_distillation_keeps_the_outputs_for_old_classes(digits: Digits) -> None:
    images = digits[Split.TRAIN].images[60:]
    changes = []
    for weight in (0.0, 10.0):
        method = LwfConfig(distillation_weight=weight)
        first, second = learn(experiment_with(method, epochs=20), digits)
        before, after = (predict(it.network, images)[:, :2] for it in (first, second))
        changes.append(float((after.softmax(dim=1) - before.softmax(dim=1)).abs().mean()))
    assert changes[1] < changes[0] / 2
