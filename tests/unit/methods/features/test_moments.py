"""The closed-form comparison methods against NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from orchestrator.methods.features.moments import (
    FeatureMoments,
    nearest_mean_classifier,
    no_moments,
    ridge_classifier,
)

RIDGE = 0.5
_RANDOM = np.random.default_rng(0)
CLASSES = [
    _RANDOM.normal(size=(num, 6)).astype(np.float32) + 2 * label
    for label, num in enumerate((20, 5, 11, 3))
]


def _moments() -> FeatureMoments:
    """Return moments updated class by class; no step sees the images of an earlier class."""
    moments = no_moments(6, torch.device("cpu"))
    for features in CLASSES:
        moments = moments.with_class(torch.from_numpy(features)[None])
    return moments


def _ridge_on_all_data_at_once() -> npt.NDArray[np.float64]:
    features = np.concatenate(CLASSES).astype(np.float64)
    answers = np.repeat(np.eye(len(CLASSES)), [len(of_class) for of_class in CLASSES], axis=0)
    # ridge regression is least squares with one more row per feature
    rows = np.concatenate([features, np.sqrt(RIDGE) * np.eye(6)])
    targets = np.concatenate([answers, np.zeros((6, len(CLASSES)))])
    return np.asarray(np.linalg.lstsq(rows, targets, rcond=None)[0])


def test_ridge_updated_class_by_class_equals_ridge_on_all_data_at_once() -> None:
    classifier = ridge_classifier(_moments(), RIDGE)
    np.testing.assert_allclose(
        classifier.weights.numpy(), _ridge_on_all_data_at_once(), rtol=1e-3, atol=1e-5
    )
    assert not classifier.biases.any()


def test_the_nearest_mean_is_predicted() -> None:
    means = np.stack([of_class.mean(axis=0) for of_class in CLASSES])
    points = 4 * np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32) + 3
    expected = np.linalg.norm(points[:, None] - means, axis=2).argmin(axis=1)
    predicted = nearest_mean_classifier(_moments())(torch.from_numpy(points)).argmax(dim=1)
    assert len(set(expected.tolist())) == len(CLASSES)
    assert predicted.tolist() == expected.tolist()


def test_the_views_of_an_image_share_its_weight() -> None:
    features = torch.from_numpy(CLASSES[0])
    once = no_moments(6, torch.device("cpu")).with_class(features[None])
    twice = no_moments(6, torch.device("cpu")).with_class(torch.stack([features, features]))
    for name in ("second", "sums", "counts"):
        torch.testing.assert_close(getattr(once, name), getattr(twice, name))


def test_adding_a_class_does_not_change_the_earlier_moments() -> None:
    before = _moments()
    second = before.second.clone()
    before.with_class(torch.from_numpy(CLASSES[0])[None])
    assert torch.equal(before.second, second)
    assert len(before.counts) == len(CLASSES)
