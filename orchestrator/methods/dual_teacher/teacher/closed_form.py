"""The closed-form joint embedding space and classifier, from which refinement starts
(docs/method.md, section 2 (c) and (d)).

Whitening by the within-class covariance is pull and push in closed form: it shrinks the directions
in which images of one class differ. Cosine to the whitened class means is then the best classifier
that class means and one shared covariance can give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orchestrator.config.teacher import JointEmbeddingConfig
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.features.shrinkage import shrinkage_for_images
from orchestrator.models import WhitenedEmbedding
from orchestrator.models.backbones import FeatureGroup

# The expected error is subtracted from the squared length of a class mean. For the mean of a single
# image, the difference may be zero or negative. It is therefore raised to at least this share of
# the median squared length.
_LEAST_CERTAIN_SHARE = 0.1
_CENTRED_SHARE = 0.9
_LEAST_VARIANCE = 1e-8
_LARGE = 2048  # number of features above which faster, less exact computations are used


def principal_basis(
    covariance: Float[Tensor, "d d"], dimensions: int, groups: Sequence[FeatureGroup] = ()
) -> Float[Tensor, "d m"]:
    """Return the axes of the joint embedding space, which are chosen once, in the first task.

    If the space has enough dimensions, every feature becomes an axis. Otherwise the axes are the
    directions of largest variance.

    Groups of features are first scaled to the same mean variance. Without scaling, a few features
    with a large variance would dominate the mean variance of all features. The whitening that
    follows depends on this mean: it shrinks the covariance towards `mean variance · identity`.

    Args:
        covariance: Within-class covariance of the first task.
        dimensions: Dimensions of the space.
        groups: Groups of the features; fewer than two groups are not scaled.
    """
    num_features = len(covariance)
    scales = _scales(covariance.diagonal(), groups)[:, None]
    if dimensions >= num_features:
        return scales * torch.eye(num_features, dimensions)
    _, directions = torch.linalg.eigh((scales * covariance * scales.T).double())
    widest: Tensor = scales * directions[:, -dimensions:].float()
    return widest


def _scales(variances: Float[Tensor, " d"], groups: Sequence[FeatureGroup]) -> Float[Tensor, " d"]:
    """Return a scale factor for each feature. After scaling, all groups of features have the same
    mean variance.
    """
    if len(groups) <= 1:
        return torch.ones_like(variances)
    level = variances.mean().clamp_min(_LEAST_VARIANCE)
    parts = variances.split([group.size for group in groups])
    # the limit keeps the factor finite for a group of features whose variance is 0
    return torch.cat(
        [
            torch.full_like(part, float((level / part.mean().clamp_min(_LEAST_VARIANCE)).sqrt()))
            for part in parts
        ]
    )


def diagonal_of(basis: Float[Tensor, "d m"]) -> Float[Tensor, " d"] | None:
    """Return the diagonal of a basis that only scales the features: one scale factor per feature.
    Return None for any other basis.
    """
    factors = basis.diagonal()
    keeps_axes = len(factors) == len(basis) and torch.count_nonzero(basis) == torch.count_nonzero(
        factors
    )
    return factors if keeps_axes else None


def covariance_inside(
    covariance: Float[Tensor, "d d"], basis: Float[Tensor, "d m"]
) -> Float[Tensor, "k k"]:
    """Return the covariance along the axes of a basis. A joint embedding space with more dimensions
    than features has axes without a feature; these axes are omitted.
    """
    factors = diagonal_of(basis)
    if factors is None:
        turned: Tensor = basis.T @ covariance @ basis
        return turned
    stretched: Tensor = factors[:, None] * covariance * factors
    return stretched


def whitening(
    covariance: Float[Tensor, "d d"], basis: Float[Tensor, "d m"], shrinkage: float
) -> Float[Tensor, "m m"]:
    """Return the whitening map. It turns the within-class covariance, shrunk towards an isotropic
    one, into the identity.

    All such maps give the same cosines. With few features, the returned map is symmetric. It
    rotates the axes least, so that the space stays comparable between tasks. With many features,
    the returned map is triangular (Cholesky). It takes a tenth of the time to compute, and also
    changes little between tasks if the covariance changes little.
    """
    return _whitening_inside(covariance_inside(covariance, basis), basis.shape[1], shrinkage)


def _whitening_inside(
    inside: Float[Tensor, "k k"], dimensions: int, shrinkage: float
) -> Float[Tensor, "m m"]:
    # A space with more dimensions than features has axes without a feature, along which nothing
    # varies. There, the shrunk covariance is only its isotropic part, `shrinkage * _level(inside)`.
    whitening: Tensor = torch.eye(dimensions) / (shrinkage * _level(inside)) ** 0.5
    precise = shrunk(inside.to(precision_for(len(inside))), shrinkage)
    root = _triangular_root if len(inside) > _LARGE else _symmetric_root
    whitening[: len(inside), : len(inside)] = root(precise).float()
    return whitening


def precision_for(num_features: int) -> torch.dtype:
    """Return the floating-point type in which to factorise a shrunk covariance.

    With many features it is single precision, because double precision would take long. Single
    precision suffices, because shrinkage keeps the covariance well conditioned.
    """
    return torch.float32 if num_features > _LARGE else torch.float64


def _symmetric_root(covariance: Tensor) -> Tensor:
    values, directions = torch.linalg.eigh(covariance)
    symmetric: Tensor = (directions * values.rsqrt()) @ directions.T
    return symmetric


def _triangular_root(covariance: Tensor) -> Tensor:
    lower = torch.linalg.cholesky(covariance)
    identity = torch.eye(len(lower), dtype=lower.dtype)
    triangular: Tensor = torch.linalg.solve_triangular(lower, identity, upper=False).T
    return triangular


def shrunk(covariance: Float[Tensor, "k k"], shrinkage: float) -> Float[Tensor, "k k"]:
    """Return the covariance, moved by a share in (0, 1] towards an isotropic covariance."""
    result: Tensor = (1 - shrinkage) * covariance
    result.diagonal().add_(shrinkage * _level(covariance))
    return result


def _level(covariance: Float[Tensor, "k k"]) -> float:
    # identical images have variance 0, which would make the whitening infinite
    return max(float(covariance.diagonal().double().mean()), _LEAST_VARIANCE)


@dataclass(frozen=True)
class JointSpace:
    """The joint embedding space, as the map `w = (h basis) whitening - offset` of power-normalised
    features `h`.

    The space changes when a task brings new classes. Points of the old space are transformed
    exactly. The adapter and the classifier's residuals, which are small corrections learned on top
    of the map, are kept unchanged.

    Attributes:
        basis: Axes of the space in terms of the features, the same for all tasks.
        whitening: Map that makes the within-class covariance the identity.
        offset: Nine tenths of the mean of all classes. Without an offset, all embeddings would have
            nearly the same direction, and their cosines would hardly differ. The remaining tenth of
            the mean lets a cosine prefer one class to another.
    """

    basis: Float[Tensor, "d m"]
    whitening: Float[Tensor, "m m"]
    offset: Float[Tensor, " m"]

    def change_from(self, before: JointSpace) -> tuple[Float[Tensor, "m m"], Float[Tensor, " m"]]:
        """Return the affine map to this space from an earlier space with the same basis: `w_here =
        w_before @ change + shift`.
        """
        change = torch.linalg.solve(before.whitening.double(), self.whitening.double()).float()
        return change, before.offset @ change - self.offset

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to store. If the axes of the basis are scaled features, only the scale
        factors of the basis are stored.
        """
        factors = diagonal_of(self.basis)
        basis = self.basis if factors is None else factors.clone()
        return {"basis": basis, "whitening": self.whitening, "offset": self.offset}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> JointSpace:
        """Rebuild a space from the result of `tensors`."""
        basis, whitening = tensors["basis"], tensors["whitening"]
        if basis.dim() == 1:
            basis = basis[:, None] * torch.eye(len(basis), len(whitening))
        return cls(basis, whitening, tensors["offset"])

    def map_of_features(self) -> Float[Tensor, "d m"]:
        """Return the map from power-normalised features to the space, without the offset of the
        space.
        """
        factors = diagonal_of(self.basis)
        if factors is None:
            return self.basis @ self.whitening
        return factors[:, None] * self.whitening[: len(factors)]

    @torch.no_grad()
    def install(self, embedding: WhitenedEmbedding) -> None:
        """Make an embedding module map features into this space. The adapter of the module does not
        change.
        """
        embedding.whitening.copy_(self.map_of_features())
        embedding.offset.copy_(self.offset)


def joint_space(
    statistics: ClassStatistics, basis: Float[Tensor, "d m"], config: JointEmbeddingConfig
) -> JointSpace:
    """Return the joint embedding space for the classes seen so far."""
    inside = covariance_inside(statistics.covariance, basis)
    root = _whitening_inside(inside, basis.shape[1], shrinkage_for(inside, statistics, config))
    return JointSpace(basis, root, _CENTRED_SHARE * statistics.means.mean(dim=0) @ basis @ root)


def shrinkage_for(
    inside: Float[Tensor, "k k"], statistics: ClassStatistics, config: JointEmbeddingConfig
) -> float:
    """Return the share in (0, 1] by which to shrink the covariance; fewer images give a larger
    share.

    Args:
        inside: The covariance along the axes of the space.
        statistics: Statistics of the classes, which determine the covariance's degrees of freedom.
        config: Shrinkage for many images, and how much it grows with few images.
    """
    return shrinkage_for_images(
        inside, statistics.degrees_of_freedom, config.shrinkage, config.few_images_shrinkage
    )


def class_directions(
    embedding: WhitenedEmbedding, statistics: ClassStatistics
) -> Float[Tensor, "classes m"]:
    """Return the anchors of the classifier: the directions of the embedded class means, with a
    greater length for a class with few images.
    """
    means = embedding.embed_normalized(statistics.means.to(embedding.whitening.device))
    return directions_of(means, statistics.counts, spread_within(embedding, statistics))


def spread_within(embedding: WhitenedEmbedding, statistics: ClassStatistics) -> Float[Tensor, ""]:
    """Return the mean square distance of an image's embedding to its class's mean."""
    whitening = embedding.whitening
    return (whitening * (statistics.covariance.to(whitening.device) @ whitening)).sum()


def directions_of(
    means: Float[Tensor, "classes m"], counts: Int64[Tensor, " classes"], spread: Float[Tensor, ""]
) -> Float[Tensor, "classes m"]:
    """Return the directions of embedded class means, with a greater length for a class with few
    images.

    The mean of n images has an error of about `spread / n`, in directions unrelated to its class.
    The error lengthens the mean, and so reduces every cosine to the mean. Without a correction,
    classes with few images would be predicted too rarely. The length of each direction is therefore
    the factor by which the error lengthened the mean.

    Args:
        means: Embedded means.
        counts: Number of images of each class.
        spread: Mean square distance of an image's embedding to its class's mean.
    """
    squared = means.square().sum(dim=1, keepdim=True)
    error = spread / counts.to(means.device)[:, None]
    least = (_LEAST_CERTAIN_SHARE * squared.detach().median()).clamp_min(
        torch.finfo(means.dtype).tiny
    )
    certain = (squared - error).clamp_min(least)
    return means * certain.rsqrt()
