"""Weights of images by agreement with their labels, on synthetic classes with known wrong
labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from orchestrator.config.teacher import TeacherConfig
from orchestrator.methods.dual_teacher.teacher.agreement import (
    Agreement,
    posterior_weights,
)
from orchestrator.methods.dual_teacher.teacher.statistics import (
    ClassStatistics,
    no_classes,
    with_class,
)
from orchestrator.methods.views import ClassFeatures
from orchestrator.models.backbones import FeatureGroup

NUM_FEATURES = 16
NUM_IMAGES = 200
NUM_WRONG = 60
DISTANCE = 6.0  # distance of the class means, in standard deviations


def _draw(seed: int, num: int, which: int) -> Tensor:
    """Return images of a class whose mean lies on its own axis."""
    points = np.random.default_rng(seed).normal(size=(num, NUM_FEATURES))
    points[:, which] += DISTANCE / 2**0.5
    return torch.from_numpy(points).float()


def _of_class(which: int, *wrong: int) -> ClassFeatures:
    """Return images with the label `which`, the last of which belong in equal parts to other
    classes.
    """
    clean = _draw(which, NUM_IMAGES, which)
    for place, other in enumerate(wrong):
        rows = slice(NUM_IMAGES - NUM_WRONG + place, None, len(wrong))
        clean[rows] = _draw(100 + which + other, NUM_WRONG // len(wrong), other)
    return ClassFeatures(clean, torch.zeros(0, NUM_IMAGES, NUM_FEATURES))


def _statistics(*classes: ClassFeatures) -> ClassStatistics:
    statistics = no_classes(NUM_FEATURES, 0)
    for of_class in classes:
        statistics = with_class(statistics, of_class, 0.0)
    return statistics


def _weighted(
    known: ClassStatistics, *classes: ClassFeatures, rounds: int = 2
) -> list[ClassFeatures]:
    groups = (FeatureGroup("stage1.mean", 4), FeatureGroup("final", NUM_FEATURES - 4))
    agreement = Agreement(TeacherConfig(agreement_rounds=rounds, view_weight=0), groups)
    return agreement.weighted(known, classes, torch.Generator().manual_seed(0))


OLD = (5, 6, 7, 8)
WRONG = {
    "labels of the task's other class": ((), ((1,), (0,))),
    "images of old classes": (OLD, ((5,), (8,))),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrongly_labelled_images_lose_weight_relative_to_others(case: str) -> None:
    old, wrong = WRONG[case]
    known = _statistics(*(_of_class(which) for which in old))
    for of_class in _weighted(known, *(_of_class(new, *wrong[new]) for new in (0, 1))):
        trust = of_class.trust()
        doubted = trust.argsort()[:NUM_WRONG]
        found = float((doubted >= NUM_IMAGES - NUM_WRONG).double().mean())
        assert found > 0.7


def test_classes_may_have_different_numbers_of_images() -> None:
    known = _statistics(*(_of_class(which) for which in OLD))
    classes = [_of_class(0, 5).subset(torch.arange(40, NUM_IMAGES)), _of_class(1, 8)]
    weighted = _weighted(known, *classes)
    for of_class, num in zip(weighted, (NUM_IMAGES - 40, NUM_IMAGES), strict=True):
        assert len(of_class.trust()) == num
        assert float(of_class.trust()[:-NUM_WRONG].mean()) > 0.7
        assert float(of_class.trust()[-NUM_WRONG:].mean()) < 0.3


def test_correct_labels_are_fully_trusted() -> None:
    for of_class in _weighted(no_classes(NUM_FEATURES, 0), _of_class(0), _of_class(1)):
        assert of_class.weights is None


def test_a_task_with_one_class_is_judged_by_the_earlier_classes() -> None:
    known = _statistics(*(_of_class(which) for which in OLD))
    (of_class,) = _weighted(known, _of_class(0, OLD[0]))
    assert float(of_class.trust()[:-NUM_WRONG].mean()) > 0.9
    assert float(of_class.trust()[-NUM_WRONG:].mean()) < 0.1


def test_weights_keep_differences_between_classes_out_of_the_within_class_spread() -> None:
    classes = [_of_class(new, 1 - new) for new in (0, 1)]
    weighted = _weighted(no_classes(NUM_FEATURES, 0), *classes)
    apart = torch.zeros(NUM_FEATURES)
    apart[0], apart[1] = 0.5**0.5, -(0.5**0.5)
    # 30 % of the images lie six deviations away: 1 + 0.3 * 0.7 * 36 along this direction
    contaminated = float(apart @ _statistics(*classes).covariance @ apart)
    assert contaminated == pytest.approx(1 + 0.3 * 0.7 * DISTANCE**2, rel=0.15)
    assert float(apart @ _statistics(*weighted).covariance @ apart) < 2


def test_an_image_does_not_confirm_its_own_label() -> None:
    # far more features than images, all noise, so that a classifier could fit every label
    num, num_wrong, num_features = 100, 20, 800
    drawn = torch.randn(2, num, num_features, generator=torch.Generator().manual_seed(1))
    shift = torch.zeros(num_features)
    shift[:40] = 1.0
    classes = []
    for sign, rows in zip((1, -1), drawn, strict=True):
        signs = torch.full((num, 1), float(sign))
        signs[-num_wrong:] *= -1
        classes.append(ClassFeatures(rows + signs * shift, torch.zeros(0, num, num_features)))
    agreement = Agreement(TeacherConfig(view_weight=0))
    for of_class in agreement.weighted(
        no_classes(num_features, 0), classes, torch.Generator().manual_seed(0)
    ):
        right, wrong = of_class.trust()[:-num_wrong], of_class.trust()[-num_wrong:]
        assert float(right.mean() - wrong.mean()) > 0.4


def test_with_no_rounds_or_too_few_images_every_label_is_trusted() -> None:
    classes = [_of_class(new, 1 - new) for new in (0, 1)]
    few = [of_class.subset(torch.arange(NUM_IMAGES - 5, NUM_IMAGES)) for of_class in classes]
    known = no_classes(NUM_FEATURES, 0)
    for weighted in (_weighted(known, *classes, rounds=0), _weighted(known, *few)):
        assert all(torch.equal(it.trust(), torch.ones(len(it.clean))) for it in weighted)


def _scores(means: npt.NDArray[np.float64], wrong: float, num: int, factor: float) -> list[Tensor]:
    """Return exact scores of normally distributed images; the last ones of each class have the
    label of the next class.
    """
    generator = np.random.default_rng(0)
    means = means - means.mean(axis=0)
    scores = []
    for own in range(len(means)):
        sources = np.where(np.arange(num) < (1 - wrong) * num, own, (own + 1) % len(means))
        points = means[sources] + generator.normal(size=(num, means.shape[1]))
        exact = points @ means.T - (means**2).sum(axis=1) / 2
        scores.append(torch.from_numpy(factor * exact).float())
    return scores


@pytest.mark.parametrize("wrong", [0.1, 0.25, 0.4])
def test_doubts_sum_to_the_share_of_wrong_labels(wrong: float) -> None:
    for weights in posterior_weights(_scores(5 * np.eye(3), wrong, 4000, 1.0), 0):
        assert 1 - float(weights.mean()) == pytest.approx(wrong, abs=0.05)
        assert float(weights[-int(wrong * 4000) :].mean()) < 0.1


def test_overscaled_scores_give_the_same_weights() -> None:
    exact, large = (
        torch.cat(posterior_weights(_scores(3 * np.eye(3), 0.25, 1000, factor), 0))
        for factor in (1.0, 7.0)
    )
    assert 0.1 < float(exact.mean()) < 0.9
    torch.testing.assert_close(large, exact, rtol=1e-3, atol=1e-3)


def test_images_near_the_mean_of_all_classes_lose_weight() -> None:
    # images of unseen classes lie on no side of the boundaries between known ones
    scores = _scores(6 * np.eye(3), 0.0, 400, 1.0)
    means = 6 * (np.eye(3) - 1 / 3)
    noise = np.random.default_rng(1).normal(size=(100, 3))
    for own in scores:
        own[-100:] = torch.from_numpy(noise @ means.T - (means**2).sum(axis=1) / 2).float()
    for weights in posterior_weights(scores, 0):
        assert float(weights[:-100].mean()) > 0.9
        assert float(weights[-100:].mean()) < 0.1
