"""The closed-form joint embedding space and classifier that training starts from [METHOD §2 (c), (d)].

Whitening by the within-class covariance is pull and push in closed form; cosine to the whitened class means is then the
best classifier that means and one shared covariance can give.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from orchestrator.models import WhitenedEmbedding
from orchestrator.teacher.statistics import ClassStatistics

_MOST_SHRINKAGE = 0.9
_CENTRED_SHARE = 0.9
_LEAST_VARIANCE = 1e-8


def principal_basis(covariance: Float[Tensor, "d d"], dimensions: int) -> Float[Tensor, "d m"]:
    """Axes of the joint embedding space, chosen once, in the first task: all features when there is room, else the widest directions."""
    num_features = len(covariance)
    if dimensions >= num_features:
        return torch.eye(num_features, dimensions)
    _, directions = torch.linalg.eigh(covariance.double())
    widest: Tensor = directions[:, -dimensions:].float()
    return widest


def whitening(covariance: Float[Tensor, "d d"], basis: Float[Tensor, "d m"], shrinkage: float) -> Float[Tensor, "m m"]:
    """The symmetric map after which the within-class covariance, shrunk towards an isotropic one, is the identity.

    Of all whitening maps the symmetric one turns the axes least, so that the space stays comparable from task to task.
    """
    inside = (basis.T @ covariance @ basis).double()
    dimensions = len(inside)
    # images that are all alike have no spread, and no direction may then be stretched without end
    level = (inside.trace() / min(dimensions, len(covariance))).clamp_min(_LEAST_VARIANCE)
    shrunk = (1 - shrinkage) * inside + shrinkage * level * torch.eye(dimensions, dtype=torch.float64)
    values, directions = torch.linalg.eigh(shrunk)
    symmetric: Tensor = (directions * values.rsqrt()) @ directions.T
    return symmetric.float()


@dataclass(frozen=True)
class JointSpace:
    """Where the joint embedding space lies: `w = (h basis) whitening - offset`, for power-normalised features `h`.

    It moves when a task brings new classes. Points in it follow exactly; the small corrections that were learned on top, the
    adapter and the classifier's residuals, are kept as they are.

    Attributes:
        basis: Its axes among the features, the same for all tasks.
        whitening: Makes the within-class covariance the identity.
        offset: Most of the mean of all classes. Without it all directions are nearly the same and cosines say little; a
            tenth is left as the coordinate in which a cosine can prefer one class to another.
    """

    basis: Float[Tensor, "d m"]
    whitening: Float[Tensor, "m m"]
    offset: Float[Tensor, " m"]

    def change_from(self, before: JointSpace) -> tuple[Float[Tensor, "m m"], Float[Tensor, " m"]]:
        """The affine map from another space over the same basis: `w_here = w_before @ change + shift`."""
        change = torch.linalg.solve(before.whitening.double(), self.whitening.double()).float()
        return change, before.offset @ change - self.offset

    @torch.no_grad()
    def install(self, embedding: WhitenedEmbedding) -> None:
        """Makes an embedding module map into this space; its adapter stays as it is."""
        embedding.whitening.copy_(self.basis @ self.whitening)
        embedding.offset.copy_(self.offset)


def joint_space(statistics: ClassStatistics, basis: Float[Tensor, "d m"], shrinkage: float) -> JointSpace:
    """The space for the classes seen so far."""
    inside = whitening(statistics.covariance, basis, shrinkage)
    return JointSpace(basis, inside, _CENTRED_SHARE * statistics.means.mean(dim=0) @ basis @ inside)


def class_directions(embedding: WhitenedEmbedding, statistics: ClassStatistics) -> Float[Tensor, "classes m"]:
    """Where the classes lie, as the classifier should see them: directions of length 1.

    The mean of n images errs by about 1/n of the spread in every one of m directions. Towards the mean of all classes that
    error averages out, so each mean is shrunk to it by the share of error in the distance between classes (James-Stein).
    """
    means = embedding.embed_normalized(statistics.means.to(embedding.whitening.device))
    # dimensions that no feature fills hold no error
    return directions_of(means, statistics.counts, min(embedding.whitening.shape))


def directions_of(means: Float[Tensor, "classes m"], counts: Int64[Tensor, " classes"], num_filled: int) -> Float[Tensor, "classes m"]:
    """The same, of class means that have been embedded.

    Args:
        means: Embedded.
        counts: Images of each class.
        num_filled: Dimensions that features fill.
    """
    centre = means.mean(dim=0)
    between = (means - centre).square().sum(dim=1).mean().clamp_min(torch.finfo(means.dtype).tiny)
    error = num_filled / counts.to(means.device)
    share = (error / between.detach()).clamp(0, _MOST_SHRINKAGE)[:, None]
    return functional.normalize(means * (1 - share) + centre * share, dim=1)
