"""The joint embedding space and the class directions in closed form, against NumPy
(docs/method.md, section 2 (c) and (d)).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from orchestrator.config.teacher import JointEmbeddingConfig
from orchestrator.methods.dual_teacher.teacher import closed_form
from orchestrator.methods.dual_teacher.teacher.closed_form import (
    JointSpace,
    class_directions,
    covariance_inside,
    diagonal_of,
    joint_space,
    principal_basis,
    shrinkage_for,
    whitening,
)
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.models import WhitenedEmbedding
from orchestrator.models.backbones import FeatureGroup

DIMENSIONS = (3, 6, 9)  # below, equal to and above the number of features
NUM_FEATURES = 6


def _random(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def _covariance(seed: int) -> Tensor:
    factor = _random(seed, NUM_FEATURES, NUM_FEATURES)
    return factor @ factor.T / NUM_FEATURES + 0.1 * torch.eye(NUM_FEATURES)


def _statistics(
    means: Tensor, counts: list[int], covariance: Tensor | None = None
) -> ClassStatistics:
    num_classes, num_features = means.shape
    return ClassStatistics(
        means=means,
        counts=torch.tensor(counts),
        radii=torch.ones(num_classes),
        factors=torch.zeros(num_classes, 0, num_features),
        covariance=torch.eye(num_features) if covariance is None else covariance,
    )


def _space(seed: int, basis: Tensor) -> JointSpace:
    return joint_space(
        _statistics(_random(seed, 4, NUM_FEATURES), [9] * 4, _covariance(seed + 50)),
        basis,
        JointEmbeddingConfig(shrinkage=0.1),
    )


def _place(space: JointSpace, features: Tensor) -> npt.NDArray[np.float64]:
    h, basis, inside, offset = (
        x.double().numpy() for x in (features, space.basis, space.whitening, space.offset)
    )
    return np.asarray(h @ basis @ inside - offset)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_the_basis_has_one_column_per_dimension_and_preserves_lengths(dimensions: int) -> None:
    basis = principal_basis(_covariance(0), dimensions).numpy()
    assert basis.shape == (NUM_FEATURES, dimensions)
    kept = min(dimensions, NUM_FEATURES)
    np.testing.assert_allclose(
        basis.T @ basis, np.diag([1.0] * kept + [0.0] * (dimensions - kept)), atol=1e-5
    )


def test_fewer_dimensions_than_features_keep_the_widest_directions() -> None:
    basis = principal_basis(torch.diag(torch.tensor([4.0, 0.1, 9.0, 0.3, 1.0, 0.2])), 3)
    kept = (basis @ basis.T).numpy()  # the projection, whatever the axes
    np.testing.assert_allclose(kept, np.diag([1.0, 0, 1, 0, 1, 0]), atol=1e-6)


@pytest.mark.parametrize("dimensions", [NUM_FEATURES, NUM_FEATURES + 3])
def test_with_a_dimension_for_every_feature_the_basis_keeps_features_unchanged(
    dimensions: int,
) -> None:
    features = _random(1, 5, NUM_FEATURES)
    embedded = features @ principal_basis(_covariance(0), dimensions)
    assert torch.equal(embedded[:, :NUM_FEATURES], features)
    assert not embedded[:, NUM_FEATURES:].any()


GROUPS = tuple(
    FeatureGroup(name, size)
    for name, size in (("stage1.mean", 2), ("stage1.deviation", 1), ("final", 3))
)


@pytest.mark.parametrize("dimensions", [NUM_FEATURES, NUM_FEATURES + 3])
def test_groups_of_features_get_equal_mean_variance(dimensions: int) -> None:
    covariance = _covariance(0) * torch.tensor([30.0, 30, 0.2, 1, 1, 1]).outer(
        torch.tensor([30.0, 30, 0.2, 1, 1, 1])
    )
    basis = principal_basis(covariance, dimensions, GROUPS)
    variances = covariance_inside(covariance, basis).diagonal().numpy()
    level = covariance.diagonal().mean().item()
    for first, last in ((0, 2), (2, 3), (3, 6)):
        assert variances[first:last].mean() == pytest.approx(level, rel=1e-4)
    # within a group, features keep their proportions
    before = covariance.diagonal().numpy()
    np.testing.assert_allclose(variances[0] / variances[1], before[0] / before[1], rtol=1e-4)


def test_one_group_of_features_keeps_its_spread() -> None:
    covariance = _covariance(0)
    one = (FeatureGroup("final", NUM_FEATURES),)
    for dimensions in DIMENSIONS:
        assert torch.equal(
            principal_basis(covariance, dimensions, one), principal_basis(covariance, dimensions)
        )


def test_a_large_group_takes_no_dimensions_from_the_others() -> None:
    variances = torch.tensor([900.0, 90.0, 1.0, 9.0, 3.0, 0.0])
    basis = principal_basis(torch.diag(variances), 3, GROUPS)
    # the groups have mean variances 495, 1 and 4, which scales the features to 1.8, 0.2 | 1 | 2.2,
    # 0.8, 0
    assert basis.square().sum(dim=1).bool().tolist() == [True, False, True, True, False, False]


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_the_size_of_a_group_changes_no_cosine_between_classes(dimensions: int) -> None:
    covariance, means = _covariance(0), _random(1, 4, NUM_FEATURES)
    factors = torch.tensor([50.0, 50.0, 0.02, 1.0, 1.0, 1.0])
    config = JointEmbeddingConfig(shrinkage=0.7)

    def cosines(scaled: Tensor) -> npt.NDArray[np.float64]:
        statistics = _statistics(means * scaled, [9] * 4, covariance * scaled.outer(scaled))
        basis = principal_basis(statistics.covariance, dimensions, GROUPS)
        embedding = WhitenedEmbedding(NUM_FEATURES, dimensions, 4)
        joint_space(statistics, basis, config).install(embedding)
        placed = embedding.embed_normalized(statistics.means).detach().double().numpy()
        directions = placed / np.linalg.norm(placed, axis=1, keepdims=True)
        return np.asarray(directions @ directions.T)

    np.testing.assert_allclose(cosines(factors), cosines(torch.ones(6)), atol=2e-3)


def test_a_constant_feature_is_not_amplified_without_bound() -> None:
    covariance = torch.diag(torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 1.0]))
    basis = principal_basis(covariance, NUM_FEATURES, GROUPS)
    assert basis.isfinite().all()
    statistics = _statistics(_random(0, 3, NUM_FEATURES), [9] * 3, covariance)
    assert joint_space(statistics, basis, JointEmbeddingConfig()).whitening.isfinite().all()


def test_only_a_diagonal_basis_has_a_diagonal() -> None:
    factors = torch.tensor([2.0, 0.5, 3.0])
    roomy = torch.nn.functional.pad(torch.diag(factors), (0, 2))
    found = diagonal_of(roomy)
    assert found is not None
    assert torch.equal(found, factors)
    assert diagonal_of(torch.eye(3, 2)) is None
    assert diagonal_of(torch.ones(3, 3)) is None


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("shrinkage", [0.1, 0.9])
def test_after_whitening_the_shrunk_covariance_is_the_identity(
    dimensions: int, shrinkage: float
) -> None:
    covariance = _covariance(0)
    basis = principal_basis(covariance, dimensions)
    inside = (basis.T @ covariance @ basis).double().numpy()
    level = np.trace(inside) / min(dimensions, NUM_FEATURES)
    shrunk = (1 - shrinkage) * inside + shrinkage * level * np.eye(dimensions)
    root = whitening(covariance, basis, shrinkage).double().numpy()
    np.testing.assert_allclose(root @ shrunk @ root, np.eye(dimensions), atol=1e-4)
    np.testing.assert_allclose(root, root.T, atol=1e-5)
    assert np.linalg.eigvalsh(root).min() > 0


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_the_triangular_map_for_many_features_gives_the_same_cosines(
    dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    covariance = _covariance(0)
    basis = principal_basis(covariance, dimensions)
    symmetric = whitening(covariance, basis, 0.1).double()
    monkeypatch.setattr(closed_form, "_LARGE", 1)
    triangular = whitening(covariance, basis, 0.1).double()
    assert not torch.allclose(triangular, symmetric)
    torch.testing.assert_close(
        triangular @ triangular.T, symmetric @ symmetric.T, rtol=1e-3, atol=1e-4
    )


def test_full_shrinkage_only_scales() -> None:
    root = whitening(_covariance(0), torch.eye(NUM_FEATURES), 1.0).numpy()
    level = np.trace(_covariance(0).numpy()) / NUM_FEATURES
    np.testing.assert_allclose(root, np.eye(NUM_FEATURES) / np.sqrt(level), atol=1e-5)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_an_embedding_module_maps_into_its_installed_space(dimensions: int) -> None:
    space = _space(0, principal_basis(_covariance(0), dimensions))
    embedding = WhitenedEmbedding(NUM_FEATURES, dimensions, 4)
    space.install(embedding)
    features = _random(3, 5, NUM_FEATURES)
    np.testing.assert_allclose(
        embedding.embed_normalized(features).detach().numpy(),
        _place(space, features),
        rtol=1e-3,
        atol=1e-4,
    )


def test_the_origin_of_the_space_is_nine_tenths_of_the_mean_of_all_classes() -> None:
    statistics = _statistics(_random(0, 4, NUM_FEATURES) + 3, [9] * 4, _covariance(1))
    space = joint_space(statistics, torch.eye(NUM_FEATURES), JointEmbeddingConfig(shrinkage=0.1))
    centre = _place(space, statistics.means).mean(axis=0)
    uncentred = (statistics.means @ space.whitening).mean(dim=0).numpy()
    np.testing.assert_allclose(centre, 0.1 * uncentred, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("groups", [(), GROUPS])
def test_a_stored_space_is_restored_bit_for_bit(
    dimensions: int, groups: tuple[FeatureGroup, ...]
) -> None:
    space = _space(0, principal_basis(_covariance(0), dimensions, groups))
    tensors = space.tensors()
    back = JointSpace.from_tensors(tensors)
    for name in ("basis", "whitening", "offset"):
        assert torch.equal(getattr(back, name), getattr(space, name))
    # a basis that keeps all features needs only its diagonal
    assert tensors["basis"].dim() == (2 if dimensions < NUM_FEATURES else 1)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_a_change_of_space_moves_every_point_exactly(dimensions: int) -> None:
    basis = principal_basis(_covariance(0), dimensions)
    before, after = _space(1, basis), _space(2, basis)
    change, shift = after.change_from(before)
    features = _random(3, 20, NUM_FEATURES)
    moved = _place(before, features) @ change.double().numpy() + shift.double().numpy()
    np.testing.assert_allclose(moved, _place(after, features), rtol=1e-3, atol=2e-4)


def test_changes_of_space_compose() -> None:
    first, second, third = (_space(seed, torch.eye(NUM_FEATURES)) for seed in (1, 2, 3))
    points = _random(4, 20, NUM_FEATURES)
    (a, shift_a), (b, shift_b), (direct, shift) = (
        second.change_from(first),
        third.change_from(second),
        third.change_from(first),
    )
    np.testing.assert_allclose(
        ((points @ a + shift_a) @ b + shift_b).numpy(),
        (points @ direct + shift).numpy(),
        rtol=1e-3,
        atol=1e-3,
    )


def test_no_change_is_the_identity() -> None:
    space = _space(1, torch.eye(NUM_FEATURES))
    change, shift = space.change_from(space)
    np.testing.assert_allclose(change.numpy(), np.eye(NUM_FEATURES), atol=1e-5)
    np.testing.assert_allclose(shift.numpy(), 0, atol=1e-5)


def _directions(means: Tensor, counts: list[int]) -> npt.NDArray[np.float32]:
    embedding = WhitenedEmbedding(means.shape[1], means.shape[1], 4)
    return np.asarray(class_directions(embedding, _statistics(means, counts)).detach().numpy())


def test_directions_are_lengthened_by_the_error_in_their_means() -> None:
    means, counts = 4 * _random(0, 3, NUM_FEATURES), [2, 8, 1000]
    for direction, mean, count in zip(
        _directions(means, counts), means.numpy(), counts, strict=True
    ):
        error = NUM_FEATURES / count  # the spread is 1 in every dimension
        np.testing.assert_allclose(direction, mean / np.sqrt((mean**2).sum() - error), rtol=1e-4)


def test_with_many_images_directions_have_length_one_and_pure_error_is_bounded() -> None:
    means = _random(0, 3, NUM_FEATURES)
    np.testing.assert_allclose(
        np.linalg.norm(_directions(means, [10**9] * 3), axis=1), 1, atol=1e-5
    )
    squared = (0.01 * means).square().sum(dim=1)
    expected = (squared / (0.1 * squared.median())).sqrt()
    np.testing.assert_allclose(
        np.linalg.norm(_directions(0.01 * means, [1] * 3), axis=1), expected, rtol=1e-4
    )


@pytest.mark.parametrize("counts", [[5, 5, 5], [5, 1000, 1000], [1000] * 3])
def test_shrinkage_follows_the_number_of_images_and_the_effective_dimensions(
    counts: list[int],
) -> None:
    covariance = torch.diag(torch.tensor([4.0, 2.0, 1.0, 0.5, 0.1, 0.1]))
    statistics = _statistics(torch.zeros(3, NUM_FEATURES), counts, covariance)
    weights = [count / (count + 20) for count in counts]
    variance = sum(w**2 / (n - 1) for w, n in zip(weights, counts, strict=True))
    freedom = sum(weights) ** 2 / variance
    trace_squared, of_square = 7.7**2, 16 + 4 + 1 + 0.25 + 0.02
    effective = trace_squared / max(
        of_square - trace_squared / freedom, trace_squared / NUM_FEATURES
    )
    odds = 0.1 / 0.9 + 8 * effective / freedom
    few, enough = (
        JointEmbeddingConfig(shrinkage=0.1, few_images_shrinkage=factor) for factor in (8, 0)
    )
    found = shrinkage_for(covariance, statistics, few)
    assert found == pytest.approx(odds / (1 + odds), rel=1e-5)
    assert shrinkage_for(covariance, statistics, enough) == pytest.approx(0.1)


@pytest.mark.parametrize("shrinkage", [0.1, 1.0])
def test_single_identical_images_and_full_shrinkage_give_finite_values(shrinkage: float) -> None:
    statistics = _statistics(
        torch.zeros(2, NUM_FEATURES), [1, 1], torch.zeros(NUM_FEATURES, NUM_FEATURES)
    )
    config = JointEmbeddingConfig(shrinkage=shrinkage, few_images_shrinkage=8)
    found = shrinkage_for(statistics.covariance, statistics, config)
    assert found == pytest.approx(shrinkage)
    assert joint_space(statistics, torch.eye(NUM_FEATURES), config).whitening.isfinite().all()
    assert np.isfinite(_directions(torch.zeros(2, NUM_FEATURES), [1, 1])).all()


def test_extra_dimensions_change_no_direction() -> None:
    means, counts = 2 * _random(0, 3, NUM_FEATURES), [5, 5, 40]
    roomy = WhitenedEmbedding(NUM_FEATURES, 2 * NUM_FEATURES, 4)
    directions = class_directions(roomy, _statistics(means, counts)).detach().numpy()
    np.testing.assert_allclose(directions[:, :NUM_FEATURES], _directions(means, counts), atol=1e-5)
