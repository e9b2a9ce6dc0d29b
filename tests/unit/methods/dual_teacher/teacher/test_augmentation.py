"""Prototype augmentation: draws for each description of the spread, their radius, and the terms of
the loss (patent A, claims 4 and 5).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.teacher import (
    AdaptiveAugmentationConfig,
    LowRankSpreadConfig,
    ObservedSpreadConfig,
    RandomAugmentationConfig,
    ScalarSpreadConfig,
    SharedSpreadConfig,
    SpreadConfig,
)
from orchestrator.methods.dual_teacher.teacher.augmentation import (
    OldClasses,
    augmentation_loss,
    augmentation_vectors,
    draw_features,
    observed_deviations,
    spread_radii,
    within_range,
)
from orchestrator.methods.dual_teacher.teacher.statistics import (
    ClassStatistics,
    no_classes,
    with_class,
)
from orchestrator.methods.views import ClassFeatures
from orchestrator.models.classifiers import COSINE_SCALE


def _random(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def _statistics(is_flat: bool) -> ClassStatistics:
    """Return two classes of three correlated features, the last of which may be constant; rank 3
    keeps all of their spread.
    """
    last = 0.0 if is_flat else 0.3
    statistics = no_classes(3, rank=3)
    for seed, scale in ((0, 1.0), (1, 2.0)):
        clean = (
            scale
            * _random(seed, 30, 3)
            @ torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, last]])
            + 5 * seed
        )
        statistics = with_class(statistics, ClassFeatures(clean, torch.zeros(0, 30, 3)), 0.0)
    return statistics


@pytest.mark.parametrize(
    "spread", [SharedSpreadConfig(), ScalarSpreadConfig(), LowRankSpreadConfig(rank=3)]
)
@pytest.mark.parametrize("is_flat", [False, True])
def test_draws_have_the_mean_and_covariance_of_the_described_spread(
    spread: SpreadConfig, is_flat: bool
) -> None:
    statistics = _statistics(is_flat)
    draws = draw_features(
        spread, statistics, torch.zeros(1, 3), 40_000, torch.Generator().manual_seed(0)
    ).numpy()
    for label in range(2):
        factors = statistics.factors[label].numpy()
        expected = {
            "shared": statistics.covariance.numpy(),
            "scalar": np.eye(3) * float(statistics.radii[label]) ** 2 / 3,
            "low_rank": factors.T @ factors,
        }[spread.kind]
        tolerance = 0.03 * np.trace(expected)
        np.testing.assert_allclose(
            draws[label].mean(axis=0), statistics.means[label].numpy(), atol=tolerance
        )
        np.testing.assert_allclose(np.cov(draws[label].T), expected, atol=tolerance)


def test_observed_draws_are_old_means_shifted_by_deviations_of_new_images() -> None:
    statistics, observed = _statistics(is_flat=False), _random(2, 4, 3)
    draws = draw_features(
        ObservedSpreadConfig(), statistics, observed, 200, torch.Generator().manual_seed(0)
    )
    for mean, of_class in zip(statistics.means, draws, strict=True):
        off = ((of_class - mean)[:, None] - observed).norm(dim=2)
        assert off.amin(dim=1).max() < 1e-4
        assert set(off.argmin(dim=1).tolist()) == {0, 1, 2, 3}


def _class_of(clean: list[list[float]]) -> ClassFeatures:
    return ClassFeatures(torch.tensor(clean), torch.zeros(0, len(clean), len(clean[0])))


def test_observed_deviations_are_rescaled_to_deviations_from_the_true_mean() -> None:
    # the mean of two images lies between them, so their distance to it is 1 / sqrt(2) of that to
    # the true mean: deviations of ±1 become ±sqrt(2). With three images the factor is sqrt(3 / 2)
    features = [
        _class_of([[1.0, 5.0], [3.0, 5.0]]),
        _class_of([[0.0, 3.0], [0.0, 0.0], [0.0, 0.0]]),
    ]
    expected = torch.tensor(
        [[-(2**0.5), 0.0], [2**0.5, 0.0], [0.0, 6**0.5], [0.0, -(1.5**0.5)], [0.0, -(1.5**0.5)]]
    )
    torch.testing.assert_close(observed_deviations(features), expected)


def test_a_class_of_a_single_image_has_no_deviations() -> None:
    single, pair = _class_of([[7.0, 8.0]]), _class_of([[1.0, 5.0], [3.0, 5.0]])
    assert torch.equal(observed_deviations([single, pair]), observed_deviations([pair]))
    assert torch.equal(observed_deviations([single]), torch.zeros(1, 2))


@pytest.mark.parametrize("num_images", [1, 2, 10])
def test_draws_from_few_images_stay_in_the_directions_of_these_images(num_images: int) -> None:
    # 40 features; the deviations of n images span n - 1 directions, and draws lie in them except
    # for a thousandth of the mean variance
    clean = 10 * _random(3, num_images, 40)
    statistics = with_class(
        no_classes(40, 0), ClassFeatures(clean, torch.zeros(0, num_images, 40)), 0.0
    )
    draws = draw_features(
        SharedSpreadConfig(), statistics, clean, 5000, torch.Generator().manual_seed(0)
    )
    deviations = (draws - statistics.means[:, None])[0]
    _, _, directions = torch.linalg.svd(clean - clean.mean(dim=0))
    outside = deviations @ directions[num_images - 1 :].T
    total = float(statistics.covariance.trace())
    variance = float(deviations.square().sum(dim=1).mean())
    assert variance == pytest.approx(total, rel=0.05)
    assert float(outside.square().sum(dim=1).mean()) <= 1.1e-3 * total


def test_the_radius_of_a_class_is_the_root_mean_square_length_of_its_draws() -> None:
    drawn = _random(0, 2, 5, 3)
    expected = [
        np.sqrt(np.mean([np.linalg.norm(v) ** 2 for v in of_class])) for of_class in drawn.numpy()
    ]
    np.testing.assert_allclose(spread_radii(drawn).flatten().numpy(), expected, rtol=1e-5)


def test_long_vectors_are_shortened_and_short_ones_unchanged() -> None:
    vectors = torch.tensor([[[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]])
    np.testing.assert_allclose(
        within_range(vectors, torch.full((1, 1, 1), 2.0)).numpy(),
        [[[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]],
        rtol=1e-6,
    )


class _Cosines(nn.Module):
    """Cosine classifier with given directions."""

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("known", functional.normalize(directions, dim=1))

    def forward(self, points: Tensor) -> Tensor:
        return COSINE_SCALE * functional.normalize(points, dim=1) @ self.get_buffer("known").T


def _config(**fields: float) -> AdaptiveAugmentationConfig:
    values = {
        "margin": 0.1,
        "separation_weight": 0.0,
        "diversity_weight": 0.0,
        "learning_rate": 0.05,
        "num_steps": 10,
        "radius": 1.0,
    }
    return AdaptiveAugmentationConfig.model_validate({"num_vectors": 5, **values, **fields})


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(functional.cosine_similarity(a, b, dim=0))


def test_the_margin_term_is_the_mean_lack_of_lead_in_cosine() -> None:
    prototypes, vectors = _random(0, 3, 4), _random(1, 3, 5, 4)
    lacks = []
    for label in range(3):
        for vector in vectors[label]:
            point = prototypes[label] + vector
            others = [_cosine(point, prototypes[other]) for other in range(3) if other != label]
            lacks.append(max(0.0, 0.3 - (_cosine(point, prototypes[label]) - max(others))))
    loss = augmentation_loss(
        _config(margin=0.3), vectors, OldClasses(prototypes, _Cosines(prototypes)), _random(2, 6, 4)
    )
    assert 0 < np.mean(lacks) == pytest.approx(float(loss), rel=1e-4)


def test_the_separation_term_counts_points_nearer_to_a_new_image_than_to_their_prototype() -> None:
    prototypes, vectors, new = _random(0, 3, 4), _random(1, 3, 5, 4), _random(2, 6, 4)
    lacks = []
    for label in range(3):
        for vector in vectors[label]:
            point = functional.normalize(prototypes[label] + vector, dim=0)
            to_new = min(
                float((point - functional.normalize(image, dim=0)).norm()) for image in new
            )
            lacks.append(
                max(
                    0.0,
                    float((point - functional.normalize(prototypes[label], dim=0)).norm()) - to_new,
                )
            )
    old = OldClasses(prototypes, _Cosines(prototypes))
    with_term, without = (
        augmentation_loss(_config(separation_weight=weight), vectors, old, new)
        for weight in (2.0, 0.0)
    )
    assert 0 < 2 * np.mean(lacks) == pytest.approx(float(with_term - without), rel=1e-4)


def test_the_diversity_term_wants_vectors_as_far_apart_as_their_class_reaches() -> None:
    prototypes, vectors, new = 5 * _random(0, 3, 4), _random(1, 3, 5, 4), _random(2, 6, 4)
    lacks = []
    for label in range(3):
        points = functional.normalize(prototypes[label] + vectors[label], dim=1)
        reach = float((points - functional.normalize(prototypes[label], dim=0)).norm(dim=1).mean())
        for i in range(5):
            nearest = min(float((points[i] - points[j]).norm()) for j in range(5) if j != i)
            lacks.append(max(0.0, reach - nearest))
    old = OldClasses(prototypes, _Cosines(prototypes))
    with_term, without = (
        augmentation_loss(_config(diversity_weight=3.0 * on), vectors, old, new) for on in (1, 0)
    )
    assert 0 < 3 * np.mean(lacks) == pytest.approx(float(with_term - without), rel=1e-3)


def test_a_single_old_class_has_no_margin_to_keep() -> None:
    prototypes = _random(0, 1, 4)
    loss = augmentation_loss(
        _config(),
        _random(1, 1, 5, 4),
        OldClasses(prototypes, _Cosines(prototypes)),
        _random(2, 6, 4),
    )
    assert float(loss) == 0


def test_equal_vectors_do_not_break_the_optimisation() -> None:
    prototypes = 3 * _random(0, 2, 4)
    drawn = _random(1, 2, 1, 4).expand(2, 5, 4).contiguous()
    config = _config(diversity_weight=1.0, separation_weight=1.0)
    vectors = augmentation_vectors(
        config, drawn, OldClasses(prototypes, _Cosines(prototypes)), _random(2, 6, 4)
    )
    assert vectors.isfinite().all()


def test_random_augmentation_is_the_draw_scaled_by_the_radius_and_kept_in_range() -> None:
    prototypes, drawn = _random(0, 3, 4), _random(1, 3, 5, 4)
    vectors = augmentation_vectors(
        RandomAugmentationConfig(num_vectors=5, radius=0.5),
        drawn,
        OldClasses(prototypes, _Cosines(prototypes)),
        _random(2, 6, 4),
    )
    for of_class, draws in zip(vectors.numpy(), drawn.numpy(), strict=True):
        limit = 0.5 * np.sqrt((draws**2).sum(axis=1).mean())
        for vector, draw in zip(of_class, draws, strict=True):
            length = 0.5 * np.linalg.norm(draw)
            np.testing.assert_allclose(vector, 0.5 * draw * min(1, limit / length), rtol=1e-5)
