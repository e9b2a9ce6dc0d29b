"""RanPAC against NumPy, on a few digits and on small arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from orchestrator.config.methods import RanPacConfig
from orchestrator.data import Split
from orchestrator.methods.features.moments import FeatureMoments, no_moments
from orchestrator.methods.ranpac import choose_ridge, num_held_out
from orchestrator.methods.views import ClassFeatures, normalized_features
from orchestrator.models.network import predict
from tests.unit.methods.few_digits import (
    CLASSES,
    Digits,
    experiment_with,
    learn,
    learn_task,
    of_classes,
)

Array = npt.NDArray[Any]
RIDGES = (1e-3, 0.1, 10.0, 1e3)


def regression(rows: Array, targets: Array, ridge: float) -> Array:
    """Return ridge regression as least squares with one more row per feature."""
    num = rows.shape[1]
    more_rows = np.concatenate([rows, np.sqrt(ridge) * np.eye(num)])
    more_targets = np.concatenate([targets, np.zeros((num, targets.shape[1]))])
    return np.asarray(np.linalg.lstsq(more_rows, more_targets, rcond=None)[0])


def test_two_tasks_with_one_ridge_equal_ridge_regression_on_random_features_of_both_at_once(
    digits: Digits,
) -> None:
    model = learn(experiment_with(RanPacConfig(num_projections=60, ridges=(0.05,))), digits)[-1]
    data = digits[Split.TRAIN]
    features = normalized_features(model.network.extractor, data.images).numpy()
    projection = model.network.embedding.projection.numpy().astype(np.float64)
    projected = np.maximum(features @ projection, 0)
    expected = projected @ regression(projected, np.eye(CLASSES)[data.labels.numpy()], 0.05)
    np.testing.assert_allclose(predict(model.network, data.images).numpy(), expected, atol=5e-3)


def test_random_features_are_about_as_long_as_the_features(digits: Digits) -> None:
    model = learn(experiment_with(RanPacConfig(num_projections=2000, ridges=(1.0,))), digits)[0]
    embeddings = model.network(digits[Split.TEST].images).embeddings
    assert embeddings.min() == 0
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(120), atol=0.2, rtol=0)


def test_every_task_uses_the_first_ones_projection_which_its_seed_determines(
    digits: Digits,
) -> None:
    experiment = experiment_with(RanPacConfig(num_projections=40))
    old, new = (of_classes(digits[Split.TRAIN], of) for of in (range(2), range(2, CLASSES)))
    first, second = learn(experiment, digits)
    projection = first.network.embedding.projection
    assert torch.equal(second.network.embedding.projection, projection)
    on_another_seed = learn_task(experiment, first, new, 1, seed=5)
    assert torch.equal(on_another_seed.network.embedding.projection, projection)
    other = learn_task(experiment, None, old, 0, seed=5)
    assert not torch.equal(other.network.embedding.projection, projection)


# --- choice of the ridge strength -----------------------------------------------------------------


def noisy_classes(num_images: int, distance: float) -> list[ClassFeatures]:
    """Return three classes of ten features, with one augmented view of each image."""
    random = np.random.default_rng(num_images)
    rows = random.normal(size=(3, num_images, 10)) + distance * np.eye(3, 10)[:, None]
    return [
        ClassFeatures(torch.from_numpy(it).float(), torch.from_numpy(it[None] + 0.1).float())
        for it in rows
    ]


def old_class() -> tuple[Array, FeatureMoments]:
    rows = np.random.default_rng(9).normal(size=(15, 10)).astype(np.float32)
    moments = no_moments(10, torch.device("cpu")).with_class(torch.from_numpy(rows)[None])
    return rows, moments


def held_out_errors(features: list[ClassFeatures], seed: int) -> list[float]:
    """Return the mean squared error of each ridge strength on a fifth of each new class's images,
    after regression on the old class and on the other images with their views.
    """
    old, _ = old_class()
    generator = torch.Generator().manual_seed(seed)
    rows, targets, weights = [old], [np.eye(4)[[0] * len(old)]], [np.ones(len(old))]
    held_rows, held_targets = [], []
    for label, of_class in enumerate(features, start=1):
        order = torch.randperm(len(of_class.clean), generator=generator).numpy()
        num = round(len(order) / 5)
        answers = np.eye(4)[[label] * len(order)]
        held_rows.append(of_class.clean.numpy()[order[:num]])
        held_targets.append(answers[:num])
        for view in of_class.all_views().numpy():
            rows.append(view[order[num:]])
            targets.append(answers[num:])
            weights.append(np.full(len(order) - num, 0.5))
    scale = np.sqrt(np.concatenate(weights))[:, None]
    fits = [
        regression(scale * np.concatenate(rows), scale * np.concatenate(targets), ridge)
        for ridge in RIDGES
    ]
    points, answers = np.concatenate(held_rows), np.concatenate(held_targets)
    return [float(((points @ fit - answers) ** 2).mean()) for fit in fits]


# few, well separated images: next to none; overlapping classes: the maximum
@pytest.mark.parametrize(
    ("num_images", "distance", "expected"), [(10, 2.0, 1e-3), (5, 1.0, 10.0), (5, 0.5, 1e3)]
)
def test_the_ridge_with_the_smallest_error_on_held_out_new_images_is_chosen(
    num_images: int, distance: float, expected: float
) -> None:
    features, (_, moments) = noisy_classes(num_images, distance), old_class()
    errors = held_out_errors(features, seed=3)
    assert RIDGES[int(np.argmin(errors))] == expected
    chosen = choose_ridge(moments, features, RIDGES, torch.Generator().manual_seed(3))
    assert chosen == expected


def test_a_fifth_of_a_class_is_held_out_but_never_its_only_image() -> None:
    assert [num_held_out(num) for num in (1, 2, 3, 5, 10, 103)] == [0, 1, 1, 1, 2, 21]


def test_without_a_second_image_of_any_class_the_middle_ridge_is_chosen() -> None:
    _, moments = old_class()
    features = [it.subset(torch.tensor([0])) for it in noisy_classes(5, 1.0)]
    assert choose_ridge(moments, features, RIDGES, torch.Generator()) == RIDGES[2]


def test_the_ridge_of_every_task_is_recorded(digits: Digits) -> None:
    method = RanPacConfig(num_projections=60)
    for model in learn(experiment_with(method), digits):
        assert model.details["ridge"] in method.ridges
