"""Class representations against NumPy (docs/method.md, section 2, step 6)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from orchestrator.methods.dual_teacher.teacher.statistics import (
    ClassStatistics,
    carry,
    no_classes,
    with_class,
)
from orchestrator.methods.features.drift import FeatureDrift
from orchestrator.methods.views import ClassFeatures


def _random(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def _of(*classes: ClassFeatures, rank: int = 0, view_weight: float = 0.0) -> ClassStatistics:
    statistics = no_classes(classes[0].clean.shape[1], rank)
    for of_class in classes:
        statistics = with_class(statistics, of_class, view_weight)
    return statistics


def _without_views(clean: Tensor) -> ClassFeatures:
    return ClassFeatures(clean, torch.zeros(0, *clean.shape))


def test_the_covariance_of_a_class_with_n_images_weighs_n_over_n_plus_20() -> None:
    small, large = _random(0, 5, 4), 3 * _random(1, 300, 4)
    weights = np.array([5 / 25, 300 / 320])
    covariances = [np.cov(x.numpy().T) for x in (small, large)]
    for order in ([0, 1], [1, 0]):
        parts = [(small, large)[i] for i in order]
        np.testing.assert_allclose(
            _of(*map(_without_views, parts)).covariance.numpy(),
            np.average(covariances, axis=0, weights=weights),
            rtol=1e-3,
            atol=1e-4,
        )


def test_classes_of_equal_size_weigh_the_same_and_sum_their_degrees_of_freedom() -> None:
    classes = [_random(seed, 6, 4) for seed in range(3)]
    statistics = _of(*map(_without_views, classes))
    expected = np.mean([np.cov(x.numpy().T) for x in classes], axis=0)
    np.testing.assert_allclose(statistics.covariance.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert statistics.degrees_of_freedom == pytest.approx(15)


def test_degrees_of_freedom_are_those_of_a_chi_square_with_the_same_mean_and_variance() -> None:
    # the variance of a weighted mean of chi-squares over their n - 1: 2 * sum of (w^2 / (n - 1))
    statistics = _of(_without_views(_random(0, 5, 4)), _without_views(_random(1, 300, 4)))
    shares = np.array([0.2, 0.9375]) / 1.1375
    assert statistics.degrees_of_freedom == pytest.approx(1 / (shares**2 / [4, 299]).sum())


def test_means_counts_and_radii_are_those_of_each_class() -> None:
    first, second = _random(0, 6, 4), _random(1, 9, 4)
    statistics = _of(_without_views(first), _without_views(second))
    assert statistics.num_classes == 2
    assert statistics.counts.tolist() == [6, 9]
    np.testing.assert_allclose(
        statistics.means.numpy(),
        [first.numpy().mean(0), second.numpy().mean(0)],
        rtol=1e-4,
        atol=1e-6,
    )
    expected = [np.sqrt(x.numpy().var(axis=0, ddof=1).sum()) for x in (first, second)]
    np.testing.assert_allclose(statistics.radii.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize(("view_weight", "trust"), [(0.0, 0.0), (2.0, 0.25), (18.0, 0.75)])
def test_views_enter_the_mean_by_their_weight_relative_to_the_number_of_images(
    view_weight: float, trust: float
) -> None:
    clean, views = _random(0, 6, 4), _random(1, 3, 6, 4)
    everything = np.concatenate([clean.numpy()[None], views.numpy()]).mean(axis=(0, 1))
    expected = (1 - trust) * clean.numpy().mean(axis=0) + trust * everything
    statistics = _of(ClassFeatures(clean, views), view_weight=view_weight)
    np.testing.assert_allclose(statistics.means[0].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_spread_includes_half_of_the_variation_between_views() -> None:
    clean, views = _random(0, 6, 4), _random(1, 5, 6, 4)
    within = np.mean([np.cov(views[:, image].numpy().T) for image in range(6)], axis=0)
    expected = np.cov(clean.numpy().T) + 0.5 * within
    np.testing.assert_allclose(
        _of(ClassFeatures(clean, views)).covariance.numpy(), expected, rtol=1e-4, atol=1e-5
    )


def test_a_single_view_adds_no_variation() -> None:
    clean = _random(0, 6, 4)
    np.testing.assert_allclose(
        _of(ClassFeatures(clean, _random(1, 1, 6, 4))).covariance.numpy(),
        np.cov(clean.numpy().T),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_class_of_one_image_without_views_has_no_spread() -> None:
    statistics = _of(_without_views(_random(0, 1, 4)), rank=2)
    assert not statistics.covariance.any()
    assert not statistics.factors.any()
    assert float(statistics.radii[0]) == 0


@pytest.mark.parametrize("with_views", [False, True])
def test_factors_of_full_rank_reproduce_the_covariance(with_views: bool) -> None:
    clean = _random(0, 9, 4)
    views = _random(1, 3, 9, 4) if with_views else torch.zeros(0, 9, 4)
    statistics = _of(ClassFeatures(clean, views), rank=6)
    factors = statistics.factors[0]
    np.testing.assert_allclose(
        (factors.T @ factors).numpy(), statistics.covariance.numpy(), rtol=1e-4, atol=1e-5
    )


def test_factors_of_low_rank_are_the_widest_directions() -> None:
    clean = _random(0, 40, 4) * torch.tensor([1.0, 5.0, 0.1, 2.0])
    factors = _of(_without_views(clean), rank=2).factors[0].numpy()
    values, directions = np.linalg.eigh(np.cov(clean.numpy().T))
    expected = (directions[:, -2:] * values[-2:]) @ directions[:, -2:].T
    np.testing.assert_allclose(factors.T @ factors, expected, rtol=1e-3, atol=1e-3)


def test_statistics_of_the_oldest_classes_can_be_selected() -> None:
    statistics = _of(*(_without_views(_random(seed, 6, 4)) for seed in range(3)), rank=2)
    first = statistics.first(2)
    for name in ("means", "counts", "radii", "factors"):
        assert torch.equal(getattr(first, name), getattr(statistics, name)[:2])
    assert torch.equal(first.covariance, statistics.covariance)


def test_adding_a_class_does_not_change_the_earlier_statistics() -> None:
    before = _of(_without_views(_random(0, 6, 4)))
    means, covariance = before.means.clone(), before.covariance.clone()
    with_class(before, _without_views(_random(1, 6, 4)), 0.0)
    assert torch.equal(before.means, means)
    assert torch.equal(before.covariance, covariance)


def test_transported_statistics_are_those_of_the_moved_features() -> None:
    features = [_random(seed, 6, 4) for seed in range(2)]
    drift = FeatureDrift(torch.eye(4) + 0.3 * _random(5, 4, 4), _random(6, 4))
    carried = carry(_of(*map(_without_views, features)), drift)
    moved = _of(*(_without_views(drift.of_points(of_class)) for of_class in features))
    for name in ("means", "counts", "covariance"):
        torch.testing.assert_close(
            getattr(carried, name), getattr(moved, name), rtol=1e-4, atol=1e-5
        )


def test_the_spread_of_each_class_scales_with_the_shared_one() -> None:
    statistics = _of(*(_without_views(_random(seed, 6, 4)) for seed in range(2)))
    carried = carry(statistics, FeatureDrift(3 * torch.eye(4), torch.zeros(4)))
    torch.testing.assert_close(carried.radii, 3 * statistics.radii)
    torch.testing.assert_close(carried.factors, 3 * statistics.factors)


def test_a_subset_of_images_keeps_their_views() -> None:
    features = ClassFeatures(_random(0, 6, 4), _random(1, 3, 6, 4))
    chosen = features.subset(torch.tensor([4, 1]))
    assert torch.equal(
        chosen.all_views(), torch.stack([features.clean[[4, 1]], *features.views[:, [4, 1]]])
    )


@pytest.mark.parametrize("num_views", [0, 3])
def test_an_image_of_weight_zero_has_no_effect(num_views: int) -> None:
    clean, views = _random(0, 6, 4), _random(1, num_views, 6, 4)
    weights = torch.tensor([1.0, 0, 1, 1, 0, 1])
    weighted = _of(ClassFeatures(clean, views, weights), rank=3, view_weight=2.0)
    without = _of(ClassFeatures(clean, views).subset(weights.bool()), rank=3, view_weight=2.0)
    for name in ("means", "counts", "radii", "covariance"):
        torch.testing.assert_close(
            getattr(weighted, name), getattr(without, name), rtol=1e-4, atol=1e-5
        )


def test_only_the_ratios_of_weights_matter() -> None:
    clean, views = _random(0, 6, 4), _random(1, 3, 6, 4)
    plain = _of(ClassFeatures(clean, views))
    halved = _of(ClassFeatures(clean, views, torch.full((6,), 0.5)))
    for name in ("means", "counts", "radii", "covariance"):
        torch.testing.assert_close(getattr(halved, name), getattr(plain, name))


def test_weights_enter_the_spread_fully_and_the_mean_by_their_square_root() -> None:
    clean = torch.tensor([[0.0], [2.0], [10.0]])
    statistics = _of(ClassFeatures(clean, torch.zeros(0, 3, 1), torch.tensor([1.0, 1.0, 0.25])))
    # roots 1, 1, 0.5; the spread is around 4.5 / 2.25 = 2
    assert statistics.means[0].tolist() == pytest.approx([(0 + 2 + 0.5 * 10) / 2.5])
    squares = (4 + 0 + 0.25 * 64) / 2.25
    effective = round(2.25**2 / (1 + 1 + 0.0625))
    assert statistics.counts.tolist() == [effective]
    assert float(statistics.covariance) == pytest.approx(squares * effective / (effective - 1))


def test_a_subset_of_images_keeps_their_weights() -> None:
    features = ClassFeatures(_random(0, 3, 4), torch.zeros(0, 3, 4), torch.tensor([0.1, 0.2, 0.3]))
    assert features.subset(torch.tensor([2, 0])).trust().tolist() == pytest.approx([0.3, 0.1])
