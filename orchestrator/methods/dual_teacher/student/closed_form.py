"""The student's classifier in closed form: from its own features' class means, which follow the
features when training moves them.

A classifier that is trained on new images and one exemplar an old class forgets first, long before
the features do: measured on digits, linear discriminants of a student's features with the true
means reach 97 % where its trained classifier reaches 95 %. The true means cannot be had without the
old images, but how the features move can: the new images, and the exemplars, show it before and
after.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orchestrator.methods.features.drift import FeatureDrift
from orchestrator.models import LinearClassifier

_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True)
class FeatureStatistics:
    """The classes seen so far, in the features of the student's extractor.

    Attributes:
        means: One per class.
        counts: Training images that each class had.
        covariance: Within-class covariance, the mean over classes.
    """

    means: Float[Tensor, "classes d"]
    counts: Int64[Tensor, " classes"]
    covariance: Float[Tensor, "d d"]

    def with_classes(
        self, features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]
    ) -> FeatureStatistics:
        """With more classes, whose labels go on from those that are known."""
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

    def followed(self, drift: FeatureDrift) -> FeatureStatistics:
        """Where the classes are after the extractor has changed."""
        return FeatureStatistics(
            drift.of_points(self.means), self.counts, drift.of_covariance(self.covariance)
        )


def no_statistics(num_features: int) -> FeatureStatistics:
    """Statistics of no class."""
    return FeatureStatistics(
        torch.zeros(0, num_features),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(num_features, num_features),
    )


def discriminant(statistics: FeatureStatistics, shrinkage: float) -> LinearClassifier:
    """Linear discriminant analysis, `h S⁻¹ μ - μ S⁻¹ μ / 2` of features around the mean of all
    classes, all as probable as each other.

    The mean of n images is off by noise that makes `μ S⁻¹ μ` larger by `tr(S⁻¹ C) / n`, with C the
    covariance before it was shrunk to S. That is taken away: else classes with few images would be
    chosen too seldom.

    Args:
        statistics: Of at least one class.
        shrinkage: How far the covariance is shrunk towards an isotropic one, in (0, 1].
    """
    covariance, centre = statistics.covariance.double(), statistics.means.double().mean(dim=0)
    means = (
        statistics.means.double() - centre
    )  # what all classes share says nothing, and would only make logits large
    num_features = len(covariance)
    level = (covariance.trace() / num_features).clamp_min(_LEAST_VARIANCE)
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * torch.eye(
        num_features, dtype=torch.float64
    )
    weights = torch.linalg.solve(shrunk, means.T)
    noise = torch.linalg.solve(shrunk, covariance).trace() / statistics.counts
    biases = -centre @ weights - ((means * weights.T).sum(dim=1) - noise) / 2
    return LinearClassifier(weights.float(), biases.float())
