"""FeCAM against NumPy and the paper's formulas, on a few digits and on small arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from orchestrator.config.methods import FeCamConfig
from orchestrator.data import Split
from orchestrator.methods.features.closed_form import Extracted
from orchestrator.methods.fecam import (
    METHOD,
    MahalanobisClassifier,
    TukeyTransform,
    precision_factor,
)
from orchestrator.methods.method import LearningInputs
from orchestrator.methods.views import features_by_class
from orchestrator.models import PowerNormalization
from orchestrator.models.network import extract_features, predict
from orchestrator.training.context import LearningContext
from tests.unit.methods.few_digits import CLASSES, Digits, experiment_with, learn, same_weights

Array = npt.NDArray[Any]
OTHER = FeCamConfig(tukey_exponent=0.3, variance_shrinkage=2.0, covariance_shrinkage=0.5)


def transformed(features: Array, exponent: float) -> Array:
    powers = np.sign(features) * np.abs(features) ** exponent
    return np.asarray(powers / np.linalg.norm(powers, axis=1, keepdims=True))


def precision(rows: Array, config: FeCamConfig) -> Array:
    """Return the inverse of the shrunk and normalised covariance, entry by entry."""
    covariance = np.cov(rows.T, bias=True)
    num = len(covariance)
    beside = ~np.eye(num, dtype=bool)
    shrunk = covariance.copy()
    shrunk[~beside] += config.variance_shrinkage * covariance[~beside].mean()
    shrunk[beside] += config.covariance_shrinkage * covariance[beside].mean()
    deviations = np.sqrt(np.diag(shrunk))
    return np.asarray(np.linalg.inv(shrunk / np.outer(deviations, deviations)))


@pytest.mark.parametrize("method", [FeCamConfig(), OTHER], ids=["defaults", "other values"])
def test_logits_are_negative_mahalanobis_distances_by_each_classs_own_covariance(
    method: FeCamConfig, digits: Digits
) -> None:
    model = learn(experiment_with(method), digits)[-1]
    train, test = (
        transformed(
            extract_features(model.network.extractor, digits[split].images).double().numpy(),
            method.tukey_exponent,
        )
        for split in (Split.TRAIN, Split.TEST)
    )
    expected = []
    for label in range(CLASSES):
        rows = train[digits[Split.TRAIN].labels.numpy() == label]
        mean = rows.mean(axis=0)
        deviations = test - mean / np.linalg.norm(mean)
        expected.append(-np.sum(deviations @ precision(rows, method) * deviations, axis=1))
    logits = predict(model.network, digits[Split.TEST].images).numpy()
    np.testing.assert_allclose(logits, np.stack(expected, axis=1), rtol=1e-3, atol=1e-3)


def test_learning_two_tasks_equals_learning_all_classes_at_once_bit_for_bit(digits: Digits) -> None:
    model, data = learn(experiment_with(FeCamConfig()), digits)[-1], digits[Split.TRAIN]
    context = LearningContext(0, "teacher[0]")
    features = features_by_class(model.network.extractor, data, 0, context)
    inputs = LearningInputs("teacher", data, experiment_with(FeCamConfig()))
    at_once = METHOD.learn_features(Extracted(model.network.extractor, features), inputs, context)
    assert same_weights(at_once, model)


def test_a_class_that_varies_in_one_direction_covers_more_space_along_it() -> None:
    generator = torch.Generator().manual_seed(0)
    round_rows, noise = (torch.randn(2000, 2, generator=generator) for _ in range(2))
    slanted_rows = noise[:, :1] + 0.3 * round_rows
    config = FeCamConfig(variance_shrinkage=1e-6, covariance_shrinkage=0)
    factors = [precision_factor(rows, config) for rows in (slanted_rows, round_rows)]
    classifier = MahalanobisClassifier(torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.stack(factors))
    # equally far from both means; only the first class varies along the diagonal
    assert classifier(torch.tensor([[1.0, 1.0]])).argmax().item() == 0
    assert classifier(torch.tensor([[0.0, 2.0]])).argmax().item() == 1


def test_a_class_with_one_image_has_euclidean_distances() -> None:
    row = torch.tensor([[0.6, 0.8, 0.0]])
    factor = precision_factor(row, FeCamConfig())
    classifier = MahalanobisClassifier(row, factor[None])
    points = torch.tensor([[0.6, 0.8, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    distances = (points - row).square().sum(dim=1)
    torch.testing.assert_close(classifier(points)[:, 0], -distances)


def test_a_constant_feature_does_no_harm() -> None:
    rows = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    rows[:, 2] = 0.0
    assert precision_factor(rows, FeCamConfig()).isfinite().all()


def test_an_exponent_of_one_half_is_power_normalisation() -> None:
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(TukeyTransform(0.5)(features), PowerNormalization()(features))


def test_covariances_may_not_be_shrunk_more_than_variances() -> None:
    with pytest.raises(ValidationError, match=r"covariance_shrinkage = 2\.0 exceeds"):
        FeCamConfig(covariance_shrinkage=2.0)
