"""The student's classifier in closed form, computed from the class means of the student's own
features. The means are updated when training moves the features.

A classifier trained on new images and one exemplar per old class forgets first, long before the
features do: measured on digits, linear discriminants of a student's features with the true means
reach 97 % where its trained classifier reaches 95 %. Without the old images the true means are
unavailable, but the movement of the features can be estimated: from the new images and the
exemplars, before and after training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orchestrator.methods.features.drift import FeatureDrift
from orchestrator.models import LinearClassifier

_LEAST_VARIANCE = 1e-8
_LEAST_COUNT = 1e-6
# smallest variance as a share of the mean variance; constant features have none
_LEAST_SHARE = 1e-10


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of the classes seen so far, in the features of the student's extractor.

    Attributes:
        means: Mean feature of each class.
        counts: Number of training images of each class; fractional where an image belongs to
            several classes in shares.
        covariance: Within-class covariance, the mean over classes.
    """

    means: Float[Tensor, "classes d"]
    counts: Int64[Tensor, " classes"] | Float[Tensor, " classes"]
    covariance: Float[Tensor, "d d"]

    def with_classes(
        self, features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]
    ) -> FeatureStatistics:
        """Return the statistics extended by new classes, whose labels follow those of the known
        classes.
        """
        means, counts, covariance = [*self.means], [*self.counts], self.covariance
        for label in range(len(self.means), int(labels.max()) + 1):
            of_class = features[labels == label].cpu()
            mean = of_class.mean(dim=0)
            deviations = of_class - mean
            spread = deviations.T @ deviations / max(1, len(of_class) - 1)
            covariance = covariance + (spread - covariance) / (len(means) + 1)
            means.append(mean)
            counts.append(torch.tensor(len(of_class)))
        return FeatureStatistics(torch.stack(means), torch.stack(counts), covariance)

    def with_shares(
        self, features: Float[Tensor, "n d"], shares: Float[Tensor, "n classes"]
    ) -> FeatureStatistics:
        """Return the statistics extended by images that belong to several classes in shares.

        The covariance is that of all images around the means of their classes. Images counted
        before are not needed again: their spread around a moving mean follows from the distance
        that the mean moves (Chan, Golub and LeVeque 1979).

        Args:
            features: Features of some images.
            shares: Share of each image in each class, in [0, 1]; classes beyond the known ones are
                new.
        """
        rows, weights = features.double().cpu(), shares.double().cpu()
        num_known, num_classes = len(self.means), weights.shape[1]
        before = rows.new_zeros(num_classes)
        before[:num_known] = self.counts.double()
        old_means = rows.new_zeros(num_classes, rows.shape[1])
        old_means[:num_known] = self.means.double()
        own = weights.sum(dim=0)
        counts = before + own
        sums = weights.T @ rows
        means = (before[:, None] * old_means + sums) / counts.clamp_min(_LEAST_COUNT)[:, None]
        own_means = sums / own.clamp_min(_LEAST_COUNT)[:, None]
        scatter = rows.T @ (weights.sum(dim=1, keepdim=True) * rows)
        scatter -= own_means.T @ (own[:, None] * own_means)
        between = (before * own / counts.clamp_min(_LEAST_COUNT))[:, None]
        difference = own_means - old_means
        scatter += difference.T @ (between * difference)
        scatter += self.covariance.double() * self.degrees_of_freedom
        covariance = scatter / _degrees_of_freedom(counts)
        return FeatureStatistics(means.float(), counts.float(), covariance.float())

    @property
    def degrees_of_freedom(self) -> float:
        """Return the number of independent deviations behind the covariance; at least 1."""
        return _degrees_of_freedom(self.counts)

    def followed(self, drift: FeatureDrift) -> FeatureStatistics:
        """Return the statistics adjusted to a change of the extractor."""
        return FeatureStatistics(
            drift.of_points(self.means), self.counts, drift.of_covariance(self.covariance)
        )


def _degrees_of_freedom(counts: Tensor) -> float:
    return max(1.0, float((counts - 1).clamp_min(0).sum()))


def no_statistics(num_features: int) -> FeatureStatistics:
    """Return the statistics of zero classes."""
    return FeatureStatistics(
        torch.zeros(0, num_features),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(num_features, num_features),
    )


def discriminant(statistics: FeatureStatistics, shrinkage: float) -> LinearClassifier:
    """Return linear discriminants, `h S⁻¹ μ - μ S⁻¹ μ / 2` for features `h` and class means `μ`
    relative to the mean of all classes, with equal class probabilities.

    The mean of n images has noise that increases `μ S⁻¹ μ` by `tr(S⁻¹ C) / n`, with C the
    covariance before it was shrunk to S. This increase is subtracted: otherwise classes with few
    images would be predicted too rarely.

    Args:
        statistics: Statistics of at least one class.
        shrinkage: How far to shrink the covariance of the standardised features towards the
            identity, in (0, 1].
    """
    covariance, centre = statistics.covariance.double(), statistics.means.double().mean(dim=0)
    level = (covariance.trace() / len(covariance)).clamp_min(_LEAST_VARIANCE)
    deviations = torch.maximum(covariance.diagonal(), _LEAST_SHARE * level).sqrt()
    covariance = covariance / deviations / deviations[:, None]
    # The part of the means that all classes share carries no information, and would only make
    # logits large.
    means = (statistics.means.double() - centre) / deviations
    shrunk = (1 - shrinkage) * covariance + shrinkage * torch.eye(
        len(covariance), dtype=torch.float64
    )
    weights = torch.linalg.solve(shrunk, means.T)
    noise = torch.linalg.solve(shrunk, covariance).trace() / statistics.counts.clamp_min(1)
    squares = (means * weights.T).sum(dim=1)
    weights = weights / deviations[:, None]
    biases = -centre @ weights - (squares - noise) / 2
    return LinearClassifier(weights.float(), biases.float())
