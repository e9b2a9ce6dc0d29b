"""Estimate, from the available images, how features move when an extractor is trained further, and
apply this movement to the statistics of classes whose images are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_STEADINESS = 20  # weight of the assumption that features did not move, as a number of images
_EXEMPLARS_SAY = 0.1  # weight of all exemplars together, as a share of the weight of all new images
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True)
class FeatureDrift:
    """An affine map from features before a change of the extractor to features after it: `h`
    becomes `h change + shift`.

    Attributes:
        change: The linear part.
        shift: The offset.
    """

    change: Float[Tensor, "d d"]
    shift: Float[Tensor, " d"]

    def of_points(self, points: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Return features, or means of features, as they are after the extractor has changed."""
        return points @ self.change + self.shift

    def of_directions(self, directions: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Return directions (differences between feature vectors) as they are after the extractor
        has changed.
        """
        return directions @ self.change

    def of_covariance(self, covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
        """Return a covariance of features as it is after the extractor has changed."""
        return self.change.T @ covariance @ self.change


def drift_between(
    before: Float[Tensor, "n d"], after: Float[Tensor, "n d"], num_exemplars: int
) -> FeatureDrift:
    """Estimate how features drifted, by ridge regression that shrinks the map towards the identity.

    This is learnable drift compensation (Gomez-Villa et al. 2024) with a prior: a few images say
    little about the movement of many features, so little movement is assumed.

    Args:
        before: Features of some images before the change: first those of old classes' exemplars,
            then those of new images.
        after: Features of the same images after the change.
        num_exemplars: Number of exemplars. All exemplars together weigh a tenth of all new images.
    """
    num_new = len(before) - num_exemplars
    weights = torch.ones(len(before), dtype=torch.float64)
    weights[:num_exemplars] = _EXEMPLARS_SAY * num_new / max(1, num_exemplars)
    shares = (weights / weights.sum())[:, None]
    was, now = before.cpu().double(), after.cpu().double()
    centre_was, centre_now = (shares * was).sum(dim=0), (shares * now).sum(dim=0)
    was, now = was - centre_was, now - centre_now
    second = was.T @ (shares * was)
    variance = (second.trace() / len(second)).clamp_min(_LEAST_VARIANCE)
    prior = _STEADINESS / num_new * variance * torch.eye(len(second), dtype=torch.float64)
    change = torch.linalg.solve(second + prior, was.T @ (shares * now) + prior)
    return FeatureDrift(change.float(), (centre_now - centre_was @ change).float())
