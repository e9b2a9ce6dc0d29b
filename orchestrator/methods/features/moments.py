"""Sums over the features of a frozen extractor, and the classifiers computed from the sums: nearest
class mean, and the ridge regression of analytic learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from orchestrator.models import LinearClassifier


@dataclass(frozen=True)
class FeatureMoments:
    """Sums over all features seen so far. Each task is added once; old images are never needed
    again.

    Attributes:
        second: Sum of `h hᵀ` over all images (features, features).
        sums: Sum of the features of each class (classes, features).
        counts: Number of images of each class.
    """

    second: Float[Tensor, "d d"]
    sums: Float[Tensor, "classes d"]
    counts: Float[Tensor, " classes"]

    def with_class(self, views: Float[Tensor, "views n d"]) -> FeatureMoments:
        """Return the moments with one more class. All views of an image (the original and its
        augmented copies) together weigh as much as one image.
        """
        share = 1 / len(views)
        rows = views.flatten(0, 1)
        return FeatureMoments(
            self.second + share * rows.T @ rows,
            torch.cat([self.sums, share * rows.sum(dim=0, keepdim=True)]),
            torch.cat([self.counts, self.counts.new_tensor([views.shape[1]])]),
        )


def no_moments(num_features: int, device: torch.device) -> FeatureMoments:
    """Return the moments of zero classes."""
    return FeatureMoments(
        *(
            torch.zeros(size, device=device)
            for size in ((num_features, num_features), (0, num_features), (0,))
        )
    )


def nearest_mean_classifier(moments: FeatureMoments) -> LinearClassifier:
    """Return the classifier that predicts the class with the nearest mean. For features `h` and
    class means `μ`, its logits are `2 h·μ - ‖μ‖²`. These are `-‖h - μ‖²` without the term `-‖h‖²`,
    which all classes share.
    """
    means = moments.sums / moments.counts[:, None]
    return LinearClassifier(2 * means.T, -means.square().sum(dim=1))


def ridge_classifier(moments: FeatureMoments, ridge: float) -> LinearClassifier:
    """Return the ridge regression of one-hot labels on features (ACIL, Zhuang et al. 2022). The
    sums in `moments` suffice: the features of all images at once would give the same result.
    """
    identity = torch.eye(len(moments.second), device=moments.second.device, dtype=torch.float64)
    weights = torch.linalg.solve(
        moments.second.double() + ridge * identity, moments.sums.T.double()
    ).float()
    return LinearClassifier(weights, weights.new_zeros(weights.shape[1]))
