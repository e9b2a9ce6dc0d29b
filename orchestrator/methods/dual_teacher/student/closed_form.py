"""The student's classifier in closed form, computed from class means of the student's features. The
class means are updated when training changes the features.

A classifier that is trained on new images and one exemplar per old class forgets old classes while
the features still separate them. Measured on digits: linear discriminants of the features with the
true class means reach 97 %, the trained classifier reaches 95 %. The true means of old classes are
unknown, because their images are gone. How the means move is estimated from new images and
exemplars: their features are compared before and after training.
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
# lower limit of a feature's variance, as a share of the mean variance: a constant feature has
# variance 0
_LEAST_SHARE = 1e-10


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of the classes seen so far, in the features of the student's extractor.

    Attributes:
        means: Mean feature of each class.
        counts: Number of training images of each class. It is fractional if images are divided
            between classes (`with_shares`).
        covariance: Within-class covariance: the mean over classes, or over images after
            `with_shares`.
    """

    means: Float[Tensor, "classes d"]
    counts: Int64[Tensor, " classes"] | Float[Tensor, " classes"]
    covariance: Float[Tensor, "d d"]

    def with_classes(
        self, features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]
    ) -> FeatureStatistics:
        """Return the statistics with new classes added. The labels of the new classes must continue
        the numbering of the known classes.
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
        """Add images that are divided between several classes, and return the new statistics.

        The covariance describes how all images deviate from the means of their classes. Earlier
        images are not needed again: how far a class mean moves determines how their spread around
        the mean changes (Chan, Golub and LeVeque 1979).

        Args:
            features: Features of the images to add.
            shares: Share of each image in each class, in [0, 1]. Columns after those of the known
                classes are new classes.
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
        """Return the degrees of freedom of the covariance: the sum of n - 1 over all classes, with
        n the number of images of a class; at least 1.
        """
        return _degrees_of_freedom(self.counts)

    def followed(self, drift: FeatureDrift) -> FeatureStatistics:
        """Return the statistics in the features of a changed extractor: means and covariance are
        mapped by the estimated drift of the features.
        """
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
    """Return linear discriminants for classes of equal probability.

    With features `h`, class means `μ` and the shrunk covariance S, the logit of a class is `h S⁻¹ μ
    - μ S⁻¹ μ / 2`. Here `h` and `μ` are relative to the mean of the class means. The error of a
    mean of n images increases `μ S⁻¹ μ` by `tr(S⁻¹ C) / n`, with C the covariance before shrinkage.
    This increase is subtracted: otherwise classes with few images would be predicted too rarely.

    Args:
        statistics: Statistics of at least one class.
        shrinkage: How far to shrink the covariance of the standardised features towards the
            identity, in (0, 1].
    """
    covariance, centre = statistics.covariance.double(), statistics.means.double().mean(dim=0)
    level = (covariance.trace() / len(covariance)).clamp_min(_LEAST_VARIANCE)
    deviations = torch.maximum(covariance.diagonal(), _LEAST_SHARE * level).sqrt()
    covariance = covariance / deviations / deviations[:, None]
    # Subtract the mean of all class means: it does not help to distinguish classes, and would make
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
