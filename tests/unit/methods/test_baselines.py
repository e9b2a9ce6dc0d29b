"""The comparison methods task by task, on a few digits."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import (
    AnalyticConfig,
    FeCamConfig,
    FinetuningConfig,
    JointConfig,
    LwfConfig,
    NearestClassMeanConfig,
    RanPacConfig,
)
from orchestrator.data import Split
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.views import normalized_features
from orchestrator.models.network import predict
from tests.unit.methods.few_digits import (
    CLASSES,
    Digits,
    accuracy,
    experiment_with,
    learn,
    learn_task,
    of_classes,
    same_weights,
    stored_and_read,
)

NEW_EVERY_TASK = [
    experiment_with(method)
    for method in (
        FinetuningConfig(),
        NearestClassMeanConfig(),
        AnalyticConfig(),
        RanPacConfig(num_projections=40),
        FeCamConfig(),
        LwfConfig(),
    )
]


def _rows() -> Digits:
    """Return images of noise in which each class has its own bright row: any trained model
    separates them.
    """
    found = {}
    for seed, split in enumerate((Split.TRAIN, Split.TEST)):
        labels = torch.arange(CLASSES).repeat_interleave(30)
        images = torch.randint(
            *(0, 60, (len(labels), 1, 8, 8)),
            generator=torch.Generator().manual_seed(seed),
            dtype=torch.uint8,
        )
        images[torch.arange(len(labels)), 0, 2 * labels] = 250
        found[split] = LabeledImages(images, labels)
    return found


def test_finetuning_forgets_classes_that_joint_training_remembers() -> None:
    rows = _rows()
    old = of_classes(rows[Split.TEST], range(2))
    first, second = learn(experiment_with(FinetuningConfig()), rows)
    assert accuracy(first, old) > 0.8
    assert accuracy(second, old) < 0.2
    assert accuracy(learn(experiment_with(JointConfig()), rows)[-1], old) > 0.8


def test_analytic_learning_in_two_tasks_equals_ridge_regression_on_both_at_once(
    digits: Digits,
) -> None:
    ridge = 0.05
    model = learn(experiment_with(AnalyticConfig(ridge=ridge)), digits)[-1]
    data = digits[Split.TRAIN]
    features = normalized_features(model.network.extractor, data.images).numpy().astype(np.float64)
    rows = np.concatenate([features, np.sqrt(ridge) * np.eye(features.shape[1])])
    answers = np.concatenate(
        [np.eye(CLASSES)[data.labels.numpy()], np.zeros((features.shape[1], CLASSES))]
    )
    expected = features @ np.linalg.lstsq(rows, answers, rcond=None)[0]
    np.testing.assert_allclose(predict(model.network, data.images).numpy(), expected, atol=5e-3)


def test_nearest_class_mean_predicts_by_the_distance_of_features(
    digits: Digits,
) -> None:
    model = learn(experiment_with(NearestClassMeanConfig()), digits)[-1]
    train, test = (
        normalized_features(model.network.extractor, digits[split].images).numpy()
        for split in (Split.TRAIN, Split.TEST)
    )
    means = np.stack(
        [
            train[digits[Split.TRAIN].labels.numpy() == label].mean(axis=0)
            for label in range(CLASSES)
        ]
    )
    distances = np.linalg.norm(test[:, None] - means, axis=2)
    chosen = predict(model.network, digits[Split.TEST].images).argmax(dim=1).numpy()
    np.testing.assert_allclose(  # with two equally near means, either may be chosen
        distances[np.arange(len(test)), chosen], distances.min(axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("experiment", NEW_EVERY_TASK, ids=lambda it: it.method.kind)
def test_learning_a_task_does_not_change_the_previous_tasks_model(
    experiment: Experiment, digits: Digits
) -> None:
    first = learn(experiment, digits)[0]
    before = copy.deepcopy(first.network.state_dict())
    learn_task(experiment, first, of_classes(digits[Split.TRAIN], range(2, CLASSES)), 1)
    assert all(
        torch.equal(before[name], value) for name, value in first.network.state_dict().items()
    )


@pytest.mark.parametrize("experiment", NEW_EVERY_TASK, ids=lambda it: it.method.kind)
def test_a_model_survives_its_artifact_bit_for_bit_and_continues_identically(
    experiment: Experiment, digits: Digits
) -> None:
    new = of_classes(digits[Split.TRAIN], range(2, CLASSES))
    first = learn(experiment, digits)[0]
    restored = stored_and_read(experiment, first)
    assert same_weights(restored, first)
    assert restored.details == first.details
    assert same_weights(
        learn_task(experiment, restored, new, 1), learn_task(experiment, first, new, 1)
    )
