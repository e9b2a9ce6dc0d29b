"""Weights of images from the agreement of their features with their labels, in closed form.

A few wrong labels hardly move the mean of a class. But they add differences between classes to the
within-class covariance, and whitening then shrinks the directions that separate the classes. Each
image is therefore weighted by the probability that its label is right. An image with a wrong label
is of another known class or of an unknown class. Images of unknown classes are assumed to lie
around the mean of all classes. Linear discriminants give the likelihoods. The share of wrong labels
is estimated together with the weights (expectation maximisation, Dempster et al. 1977).

With many features, discriminants agree with the labels that they were estimated from, right or
wrong. Each half of the images is therefore judged by discriminants of the other half.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from orchestrator.config.teacher import TeacherConfig
from orchestrator.methods.dual_teacher.teacher.closed_form import (
    covariance_inside,
    precision_for,
    principal_basis,
    shrinkage_for,
    shrunk,
)
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics, with_class
from orchestrator.methods.views import ClassFeatures
from orchestrator.models.backbones import FeatureGroup

_FEWEST_TO_JUDGE = 80
"""Smallest number of images per class at which labels are judged. Measured on final features of
CIFAR-10 with 40 % wrong labels: weighting loses 4 points of accuracy with 30 images per class, and
gains 4 points with 100.
"""
_LEAST_TRUST = 0.01
_STEPS = 30
_FIRST_SHARE = 0.2  # initial estimate of the share of wrong labels
_SHARES = (0.005, 0.9)
_LEAST_DOUBTED = 0.1
"""Mean doubt (1 - weight) about a task's labels below which all images keep weight 1. If all labels
are right, the mean doubt is at most 9 % on CIFAR-10 with two classes per task, and 2 % on
handwritten digits.
"""
_LEAST_TEMPERATURE = 1e-3
_MEDIAN_DEVIATION = 0.6745  # median absolute deviation of the standard normal distribution


@dataclass(frozen=True)
class Agreement:
    """Weight the images of a task by the agreement of features and labels.

    Attributes:
        config: Number of rounds, and settings of the class statistics.
        groups: Groups of the extractor's features, which are scaled to the same mean variance.
    """

    config: TeacherConfig
    groups: Sequence[FeatureGroup] = ()

    def weighted(
        self,
        known: ClassStatistics,
        features: Sequence[ClassFeatures],
        generator: torch.Generator,
    ) -> list[ClassFeatures]:
        """Return the features with a weight in [0, 1] for every image.

        All images keep weight 1 if a class has too few images, if there is only one class, or if
        hardly any label is doubted.

        Args:
            known: Statistics of the old classes.
            features: Features of each new class's images.
            generator: Splits the images into halves.
        """
        if not self.config.agreement_rounds:
            return list(features)
        fewest = min(len(of_class.clean) for of_class in features)
        if fewest < _FEWEST_TO_JUDGE or known.num_classes + len(features) == 1:
            return list(features)
        halves = [
            (torch.randperm(len(of_class.clean), generator=generator) % 2).bool()
            for of_class in features
        ]
        weighted = list(features)
        for _ in range(self.config.agreement_rounds):
            scores = self._scores(known, weighted, halves)
            weighted = [
                replace(of_class, weights=own.to(of_class.clean))
                for of_class, own in zip(
                    features, posterior_weights(scores, known.num_classes), strict=True
                )
            ]
        doubted = 1 - float(torch.cat([of_class.trust() for of_class in weighted]).mean())
        return list(features) if doubted < _LEAST_DOUBTED else weighted

    def _scores(
        self,
        known: ClassStatistics,
        features: Sequence[ClassFeatures],
        halves: Sequence[Tensor],
    ) -> list[Float[Tensor, "_ classes"]]:
        num_classes = known.num_classes + len(features)
        scores = [torch.zeros(len(of_class.clean), num_classes) for of_class in features]
        for learns_from in (False, True):
            statistics = known
            for of_class, half in zip(features, halves, strict=True):
                part = of_class.subset((half == learns_from).to(of_class.clean.device))
                statistics = with_class(statistics, part, self.config.view_weight)
            weights, offsets = self._discriminants(statistics)
            for of_class, half, own in zip(features, halves, scores, strict=True):
                judged = half != learns_from
                own[judged] = of_class.clean.cpu()[judged] @ weights + offsets
        return scores

    def _discriminants(
        self, statistics: ClassStatistics
    ) -> tuple[Float[Tensor, "d classes"], Float[Tensor, " classes"]]:
        """Return one linear function of the features per class: the log-likelihood of the class,
        minus the log-likelihood of a class at the mean of all classes.
        """
        joint = self.config.joint_embedding
        basis = principal_basis(statistics.covariance, len(statistics.covariance), self.groups)
        scales = basis.diagonal()[:, None]
        inside = covariance_inside(statistics.covariance, basis)
        covariance = shrunk(inside, shrinkage_for(inside, statistics, joint))
        covariance = covariance.to(precision_for(len(inside)))
        centre = statistics.means.mean(dim=0)
        means = scales * (statistics.means - centre).T
        root = torch.linalg.cholesky(covariance)
        solved = torch.cholesky_solve(means.to(root.dtype), root).float()
        weights = scales * solved
        return weights, -centre @ weights - (means * solved).sum(dim=0) / 2


def posterior_weights(
    scores: Sequence[Float[Tensor, "_ classes"]], num_old: int
) -> list[Float[Tensor, " _"]]:
    """Return, for every image, the probability that its label is right.

    Args:
        scores: One matrix per new class, with a row per image and a column per class. An entry is
            the log-likelihood of the image under the class, minus its log-likelihood under a
            hypothetical class at the mean of all classes.
        num_old: Number of classes before the new ones.
    """
    weights: list[Tensor] = [torch.empty(0)] * len(scores)
    share = _FIRST_SHARE
    for _ in range(_STEPS):
        temperature = _temperature(scores, weights)
        weights = [
            _posterior(of_class / temperature, num_old + new, share)
            for new, of_class in enumerate(scores)
        ]
        wrong = 1 - float(torch.cat(weights).mean())
        share = min(max(wrong, _SHARES[0]), _SHARES[1])
    return weights


def _posterior(scores: Float[Tensor, "n classes"], own: int, wrong: float) -> Float[Tensor, " n"]:
    """Return the probability that an image labelled `own` belongs to this class. A share `wrong` of
    the labels is assumed wrong; an image with a wrong label is equally likely to belong to any
    other class, including an unknown class.
    """
    unseen = scores.new_zeros(len(scores), 1)
    others = torch.cat([scores[:, :own], scores[:, own + 1 :], unseen], dim=1)
    mean_other = others.logsumexp(dim=1) - math.log(others.shape[1])
    odds = scores[:, own] - mean_other + math.log((1 - wrong) / wrong)
    return odds.sigmoid().clamp_min(_LEAST_TRUST)  # no class may lose all its images


def _temperature(
    scores: Sequence[Float[Tensor, "_ classes"]], weights: Sequence[Float[Tensor, " _"]]
) -> float:
    """Return the factor by which scores (log-likelihoods) are too large. Many features and few
    images inflate scores.

    Let s be the difference of two classes' scores. In theory, the variance of s within each class
    equals the distance between the means of s in the two classes. The factor is the measured
    variance divided by the measured distance. If a class is alone in its task, s is known only for
    images of this class, and the distance is estimated as twice the mean of s.
    """
    num_new = len(scores)
    variance, distance = 0.0, 0.0
    for first, second in itertools.permutations(range(-num_new, 0), 2):
        here, there = (scores[it][:, first] - scores[it][:, second] for it in (first, second))
        mean, spread = _moments(here, weights[first])
        variance += spread
        distance += mean - _moments(there, weights[second])[0]
    if num_new == 1:
        for old in scores[0][:, :-1].T:
            mean, spread = _moments(scores[0][:, -1] - old, weights[0])
            variance += spread
            distance += 2 * mean
    return float(max(variance / max(distance, _LEAST_TEMPERATURE), _LEAST_TEMPERATURE))


def _moments(values: Float[Tensor, " n"], weights: Float[Tensor, " m"]) -> tuple[float, float]:
    """Return the mean and the variance of the values.

    If `weights` is empty, mean and variance are estimated from medians, which are robust to wrong
    labels. Otherwise `weights` has one weight for each value.
    """
    if not len(weights):
        middle = values.median()
        deviation = (values - middle).abs().median() / _MEDIAN_DEVIATION
        return float(middle), float(deviation.square())
    shares = weights / weights.sum()
    mean = (shares * values).sum()
    return float(mean), float((shares * (values - mean).square()).sum())
