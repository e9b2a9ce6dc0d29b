"""The closed-form joint embedding space and classifier that training starts from [METHOD §2 (c),
(d)].

Whitening by the within-class covariance is pull and push in closed form; cosine to the whitened
class means is then the best classifier that means and one shared covariance can give.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orchestrator.config.teacher import JointEmbeddingConfig
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.models import WhitenedEmbedding

_LEAST_CERTAIN_SHARE = (
    0.1  # of a usual mean's squared length; the mean of one image may be all error
)
_CENTRED_SHARE = 0.9
_LEAST_VARIANCE = 1e-8


def principal_basis(covariance: Float[Tensor, "d d"], dimensions: int) -> Float[Tensor, "d m"]:
    """Axes of the joint embedding space, chosen once, in the first task: all features when there is
    room, else the widest directions.
    """
    num_features = len(covariance)
    if dimensions >= num_features:
        return torch.eye(num_features, dimensions)
    _, directions = torch.linalg.eigh(covariance.double())
    widest: Tensor = directions[:, -dimensions:].float()
    return widest


def whitening(
    covariance: Float[Tensor, "d d"], basis: Float[Tensor, "d m"], shrinkage: float
) -> Float[Tensor, "m m"]:
    """The symmetric map after which the within-class covariance, shrunk towards an isotropic one,
    is the identity.

    Of all whitening maps the symmetric one turns the axes least, so that the space stays comparable
    from task to task.
    """
    dimensions = basis.shape[1]
    keeps_axes = dimensions == len(covariance) and torch.equal(
        basis, torch.eye(dimensions).to(basis)
    )
    inside = (covariance if keeps_axes else basis.T @ covariance @ basis).double()
    # images that are all alike have no spread, and no direction may then be stretched without end
    level = (inside.trace() / min(dimensions, len(covariance))).clamp_min(_LEAST_VARIANCE)
    shrunk = (1 - shrinkage) * inside + shrinkage * level * torch.eye(
        dimensions, dtype=torch.float64
    )
    values, directions = torch.linalg.eigh(shrunk)
    symmetric: Tensor = (directions * values.rsqrt()) @ directions.T
    return symmetric.float()


@dataclass(frozen=True)
class JointSpace:
    """Where the joint embedding space lies: `w = (h basis) whitening - offset`, for
    power-normalised features `h`.

    It moves when a task brings new classes. Points in it follow exactly; the small corrections that
    were learned on top, the adapter and the classifier's residuals, are kept as they are.

    Attributes:
        basis: Its axes among the features, the same for all tasks.
        whitening: Makes the within-class covariance the identity.
        offset: Most of the mean of all classes. Without it all directions are nearly the same and
            cosines say little; a tenth is left as the coordinate in which a cosine can prefer one
            class to another.
    """

    basis: Float[Tensor, "d m"]
    whitening: Float[Tensor, "m m"]
    offset: Float[Tensor, " m"]

    def change_from(self, before: JointSpace) -> tuple[Float[Tensor, "m m"], Float[Tensor, " m"]]:
        """The affine map from another space over the same basis: `w_here = w_before @ change +
        shift`.
        """
        change = torch.linalg.solve(before.whitening.double(), self.whitening.double()).float()
        return change, before.offset @ change - self.offset

    @torch.no_grad()
    def install(self, embedding: WhitenedEmbedding) -> None:
        """Makes an embedding module map into this space; its adapter stays as it is."""
        embedding.whitening.copy_(self.basis @ self.whitening)
        embedding.offset.copy_(self.offset)


def joint_space(
    statistics: ClassStatistics, basis: Float[Tensor, "d m"], config: JointEmbeddingConfig
) -> JointSpace:
    """The space for the classes seen so far."""
    inside = whitening(statistics.covariance, basis, shrinkage_for(statistics, config))
    return JointSpace(basis, inside, _CENTRED_SHARE * statistics.means.mean(dim=0) @ basis @ inside)


def shrinkage_for(statistics: ClassStatistics, config: JointEmbeddingConfig) -> float:
    """How far the covariance is shrunk, in (0, 1]: the further, the fewer images it was estimated
    from.

    The odds of `shrinkage` grow by `few_images_shrinkage` times r, the covariance's effective
    dimensions, `tr(S)² / tr(S²)`, for each degree of freedom of its estimate. Optimal shrinkage
    depends on the same ratio (Ledoit and Wolf 2004), but minimises the error of the covariance
    itself; a classifier needs its inverse, where noise counts more, by a factor that only data can
    tell.
    """
    if config.shrinkage == 1:
        return 1.0
    covariance = statistics.covariance.double()
    # the mean over classes of covariances with n - 1 degrees of freedom each
    freedom = statistics.num_classes**2 / (1 / (statistics.counts - 1).clamp_min(1).double()).sum()
    trace_squared = covariance.trace().square()
    # the noise adds tr(S)² / freedom to the trace of the square
    squared = (covariance.square().sum() - trace_squared / freedom).clamp_min(
        trace_squared / len(covariance)
    )
    ratio = float(trace_squared / squared / freedom) if trace_squared else 0.0
    odds = config.shrinkage / (1 - config.shrinkage) + config.few_images_shrinkage * ratio
    return odds / (1 + odds)


def class_directions(
    embedding: WhitenedEmbedding, statistics: ClassStatistics
) -> Float[Tensor, "classes m"]:
    """Where the classes lie, as the classifier should see them: directions, longer where a class
    has few images.
    """
    means = embedding.embed_normalized(statistics.means.to(embedding.whitening.device))
    return directions_of(means, statistics.counts, spread_within(embedding, statistics))


def spread_within(embedding: WhitenedEmbedding, statistics: ClassStatistics) -> Float[Tensor, ""]:
    """Mean square distance of an image's embedding to its class's mean."""
    whitening = embedding.whitening
    return (whitening * (statistics.covariance.to(whitening.device) @ whitening)).sum()


def directions_of(
    means: Float[Tensor, "classes m"], counts: Int64[Tensor, " classes"], spread: Float[Tensor, ""]
) -> Float[Tensor, "classes m"]:
    """The same, of class means that have been embedded.

    The mean of n images is off by about `spread / n`, in directions that have nothing to do with
    its class: that makes it longer, and so every cosine to it smaller. A class with few images
    would lose to those with many by the length of its error. Each direction is as much longer than
    1 as that error made its mean longer.

    Args:
        means: Embedded.
        counts: Images of each class.
        spread: Mean square distance of an image's embedding to its class's mean.
    """
    squared = means.square().sum(dim=1, keepdim=True)
    error = spread / counts.to(means.device)[:, None]
    least = (_LEAST_CERTAIN_SHARE * squared.detach().median()).clamp_min(
        torch.finfo(means.dtype).tiny
    )
    certain = (squared - error).clamp_min(least)
    return means * certain.rsqrt()
