"""One representation per class: its mean, and a compact description of its spread (docs/method.md,
section 2, step 6; patent A, paragraph 12).

All values describe power-normalised features. If the extractor is frozen, they never go stale:
embeddings are computed again from these values whenever the embedding module has changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from orchestrator.methods.features.drift import FeatureDrift
from orchestrator.methods.views import ClassFeatures

# weight of the variation between augmented copies of one image, relative to the variation between
# images
_VIEW_SCATTER_SHARE = 0.5

_STEADY_IMAGES = 20
"""Number of images at which a class's covariance has half its maximum weight in the shared
covariance. Measured on final features of CIFAR-10, with two classes of 1,000 images and eight
classes of n images. Last accuracy is 56.0 % for n = 5, and 69.6 % for n = 30. If all classes weigh
the same, it is 55.2 % and 69.3 %.
"""


@dataclass(frozen=True)
class ClassStatistics:
    """The representations of the classes seen so far.

    Attributes:
        means: Mean feature of each class.
        counts: Number of training images of each class. For a class with doubted labels, the number
            of undoubted images whose mean would be equally exact.
        radii: Root mean square distance of each class's features to their mean.
        factors: Main directions of each class's own spread. The length of a direction is the
            standard deviation of the features along it.
        covariance: Within-class covariance, a weighted mean over classes. A class of n images
            weighs `n / (n + 20)`, because few images show little of the spread. For example, 5, 100
            and 1,000 images weigh 0.2, 0.83 and 0.98.
    """

    means: Float[Tensor, "classes d"]
    counts: Int64[Tensor, " classes"]
    radii: Float[Tensor, " classes"]
    factors: Float[Tensor, "classes rank d"]
    covariance: Float[Tensor, "d d"]

    @property
    def num_classes(self) -> int:
        """Return the number of classes seen."""
        return len(self.means)

    @property
    def degrees_of_freedom(self) -> float:
        """Return the degrees of freedom of the shared covariance, which is a weighted mean of class
        covariances. The covariance of a class of n images has n - 1 degrees of freedom.
        """
        weights = covariance_weights(self.counts)
        own = (self.counts - 1).clamp_min(1).double()
        return float(weights.sum().square() / (weights.square() / own).sum())

    def first(self, num_classes: int) -> ClassStatistics:
        """Return the statistics of only the oldest classes; the shared covariance remains that of
        all classes.
        """
        return ClassStatistics(
            self.means[:num_classes],
            self.counts[:num_classes],
            self.radii[:num_classes],
            self.factors[:num_classes],
            self.covariance,
        )


def covariance_weights(counts: Int64[Tensor, " classes"]) -> Float64[Tensor, " classes"]:
    """Return the weight of each class's covariance in the shared covariance, given the number of
    images of each class.
    """
    return counts.double() / (counts + _STEADY_IMAGES)


def no_classes(num_features: int, rank: int) -> ClassStatistics:
    """Return the statistics of zero classes."""
    return ClassStatistics(
        means=torch.zeros(0, num_features),
        counts=torch.zeros(0, dtype=torch.int64),
        radii=torch.zeros(0),
        factors=torch.zeros(0, rank, num_features),
        covariance=torch.zeros(num_features, num_features),
    )


def with_class(
    statistics: ClassStatistics, features: ClassFeatures, view_weight: float
) -> ClassStatistics:
    """Return the statistics with one more class.

    Args:
        statistics: Statistics of the previous classes.
        features: Features of the new class's images.
        view_weight: Weight of the mean of all views (originals and augmented copies) in the class
            mean, as a number of images w. In a class of n images, the mean of all views has the
            weight w / (w + n), and the mean of the originals alone the weight n / (w + n).
    """
    covariance, deviations = _spread(features)
    covariance = (covariance + covariance.T) / 2  # exactly symmetric, so that half can be stored
    counts = torch.cat([statistics.counts, torch.tensor([_effective_count(features.trust())])])
    weights = covariance_weights(counts)
    share = float(weights[-1] / weights.sum())
    rank = statistics.factors.shape[1]
    return ClassStatistics(
        means=torch.cat([statistics.means, _mean(features, view_weight).cpu()[None]]),
        counts=counts,
        radii=torch.cat([statistics.radii, covariance.trace().sqrt().cpu()[None]]),
        factors=torch.cat([statistics.factors, _main_directions(deviations, rank).cpu()[None]]),
        covariance=(1 - share) * statistics.covariance + share * covariance.cpu(),
    )


def carry(statistics: ClassStatistics, drift: FeatureDrift) -> ClassStatistics:
    """Return the statistics in the features of a changed extractor: means, spread and covariance
    are mapped by the estimated drift of the features.
    """
    covariance = drift.of_covariance(statistics.covariance)
    growth = (
        (covariance.trace() / statistics.covariance.trace()).sqrt()
        if statistics.covariance.any()
        else 1.0
    )
    return ClassStatistics(
        drift.of_points(statistics.means),
        statistics.counts,
        statistics.radii * growth,
        drift.of_directions(statistics.factors),
        covariance,
    )


def _mean(features: ClassFeatures, view_weight: float) -> Float[Tensor, " d"]:
    """Return the class's mean. The fewer images there are, the more their augmented copies weigh,
    because the copies show how far the class extends.

    Each image weighs the square root of the trust in its label (the probability that the label is
    right). The root softens the effect of doubt: wrong labels harm a mean less than a covariance,
    whereas low weights of rightly labelled images push the mean away from the other classes.
    """
    shares = features.trust().sqrt()
    shares = shares / shares.sum()
    clean = shares @ features.clean
    if not len(features.views):
        return clean
    trust = view_weight / (view_weight + _effective_count(features.trust()))
    return (1 - trust) * clean + trust * shares @ features.all_views().mean(dim=0)


def _effective_count(weights: Float[Tensor, " n"]) -> int:
    """Return the number of images of weight 1 whose mean would be as exact as the weighted mean."""
    return max(1, round(float(weights.sum().square() / weights.square().sum())))


def _spread(features: ClassFeatures) -> tuple[Float[Tensor, "d d"], Float[Tensor, "rows d"]]:
    """Return the class's covariance, and the weighted deviations D for which the covariance is `Dᵀ
    D`.
    """
    weights = features.trust() / features.trust().sum()
    num, roots = _effective_count(features.trust()), weights.sqrt()[:, None]
    parts = [roots * (features.clean - weights @ features.clean) * (num / max(1, num - 1)) ** 0.5]
    if len(features.views) > 1:
        own = (roots * (features.views - features.views.mean(dim=0))).flatten(0, 1)
        parts.append(own * (_VIEW_SCATTER_SHARE / (len(features.views) - 1)) ** 0.5)
    deviations = torch.cat(parts)
    return deviations.T @ deviations, deviations


def _main_directions(deviations: Float[Tensor, "rows d"], rank: int) -> Float[Tensor, "rank d"]:
    factors = deviations.new_zeros(rank, deviations.shape[1])
    # Only a low-rank spread uses these factors (the main directions of a class). For any other
    # spread the rank is 0, and the SVD is skipped, because it is slow for many features.
    if not rank:
        return factors
    _, singular, directions = torch.linalg.svd(deviations, full_matrices=False)
    kept = min(rank, len(singular))
    factors[:kept] = singular[:kept, None] * directions[:kept]
    return factors
