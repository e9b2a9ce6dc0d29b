"""Adaptive prototype augmentation: learnable vectors around every old prototype.

Each old class gets K vectors, each with a direction and a magnitude. The sum of a prototype and a
vector is an augmented prototype. The vectors start as draws from the stored spread of the class, or
as deviations of the new task's images from their class means. They are then optimised through the
old task's classifier, which does not change.

Patent A (see docs/method.md) describes learnable vectors around old prototypes in claims 4 and 5
and in paragraphs 38, 39, 57 and 74. Where the vectors start is this project's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.teacher import (
    AdaptiveAugmentationConfig,
    LowRankSpreadConfig,
    ObservedSpreadConfig,
    RandomAugmentationConfig,
    ScalarSpreadConfig,
    SharedSpreadConfig,
    SpreadConfig,
)
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.views import ClassFeatures
from orchestrator.models.classifiers import COSINE_SCALE

Vectors = Float[Tensor, "old vectors m"]
# This share of the mean variance is added to every variance if some directions have no variance.
# The share is larger than the rounding error of single precision.
_FLAT_SHARE = 1e-3


@dataclass(frozen=True)
class OldClasses:
    """Classes of earlier tasks, in the joint embedding space at the start of the new task.

    Attributes:
        prototypes: Embedded prototypes of these classes.
        classifier: Classifier of the previous task; it is not trained any further.
    """

    prototypes: Float[Tensor, "old m"]
    classifier: nn.Module


def augmentation_vectors(
    config: AdaptiveAugmentationConfig | RandomAugmentationConfig,
    drawn: Vectors,
    old: OldClasses,
    new_embeddings: Float[Tensor, "n m"],
) -> Float[Tensor, "old kept m"]:
    """Return the augmentation vectors of the old classes. The vectors start as random deviations
    from the prototypes. If the configuration chooses adaptive augmentation, they are then
    optimised.

    Args:
        config: Configuration of the augmentation.
        drawn: Random deviations from every old prototype.
        old: The old classes.
        new_embeddings: The new task's images in the joint embedding space.

    Returns:
        Vectors to be added to the prototypes.
    """
    limits = config.radius * spread_radii(drawn)
    vectors = within_range(drawn * config.radius, limits)
    if isinstance(config, AdaptiveAugmentationConfig):
        return optimize_vectors(config, vectors, limits, old, new_embeddings)
    return vectors


def observed_deviations(features: Sequence[ClassFeatures]) -> Float[Tensor, "n d"]:
    """Return the deviations of images from the mean of their class.

    The estimated mean of n images lies closer to the images than the true mean does. Deviations are
    therefore lengthened by the factor `√(n / (n - 1))`. A class of a single image contributes no
    deviation. If no class contributes one, return a row of zeros.
    """
    parts = [
        (of_class.clean - of_class.clean.mean(dim=0)) * (num / (num - 1)) ** 0.5
        for of_class in features
        if (num := len(of_class.clean)) > 1
    ]
    return torch.cat(parts) if parts else torch.zeros_like(features[0].clean[:1])


def draw_features(
    spread: SpreadConfig,
    statistics: ClassStatistics,
    observed: Float[Tensor, "n d"],
    num_draws: int,
    generator: torch.Generator,
) -> Float[Tensor, "classes draws d"]:
    """Return random power-normalised features that substitute for the missing images of each class.

    Args:
        spread: Source of the deviations from the class mean.
        statistics: Statistics of the classes.
        observed: Deviations of the new task's images from their class means.
        num_draws: Number of substitutes for each class.
        generator: Draws the deviations.
    """
    num_old, num_features = statistics.means.shape
    match spread:
        case ObservedSpreadConfig():
            rows = torch.randint(len(observed), (num_old, num_draws), generator=generator)
            deviations = observed[rows.to(observed.device)].to(statistics.means.device)
        case SharedSpreadConfig():
            deviations = (
                torch.randn(num_old, num_draws, num_features, generator=generator)
                @ _root(statistics.covariance).T
            )
        case ScalarSpreadConfig():
            scale = statistics.radii[:, None, None] / num_features**0.5
            deviations = torch.randn(num_old, num_draws, num_features, generator=generator) * scale
        case LowRankSpreadConfig():
            weights = torch.randn(
                num_old, num_draws, statistics.factors.shape[1], generator=generator
            )
            deviations = weights @ statistics.factors
        case _:
            assert_never(spread)
    drawn: Tensor = statistics.means[:, None] + deviations
    return drawn


def _root(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Return a matrix R for which `R Rᵀ` equals the covariance, up to a thousandth of its mean
    variance.

    With fewer images than features, some directions have no variance, and the Cholesky
    factorisation fails. A thousandth of the mean variance is then added to the variance of every
    feature. Eigenvectors need no such addition, but take far longer to compute than all other work
    of a task. They are used only if the factorisation fails again.
    """
    root, flat = torch.linalg.cholesky_ex(covariance.double())
    if flat:
        level = _FLAT_SHARE * covariance.diagonal().double().mean()
        raised = covariance.double().clone()
        raised.diagonal().add_(level)
        root, flat = torch.linalg.cholesky_ex(raised)
    if flat:
        values, directions = torch.linalg.eigh(covariance.double())
        root = directions * values.clamp_min(0).sqrt()
    result: Tensor = root.float()
    return result


def spread_radii(drawn: Vectors) -> Float[Tensor, "old 1 1"]:
    """Return the spread of each old class: the root mean square length of the random deviations
    drawn for the class.
    """
    radii: Tensor = drawn.square().sum(dim=2, keepdim=True).mean(dim=1, keepdim=True).sqrt()
    return radii


def within_range(vectors: Vectors, limits: Float[Tensor, "old 1 1"]) -> Vectors:
    """Shorten each vector that is longer than the limit of its class to this limit, and return all
    vectors (patent A, claim 4).
    """
    lengths = vectors.norm(dim=2, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)
    shortened: Tensor = vectors * (limits / lengths).clamp(max=1)
    return shortened


def optimize_vectors(
    config: AdaptiveAugmentationConfig,
    vectors: Vectors,
    limits: Float[Tensor, "old 1 1"],
    old: OldClasses,
    new_embeddings: Float[Tensor, "n m"],
) -> Vectors:
    """Optimise the augmentation vectors through the old task's classifier, which does not change.
    The vectors have their own learning rate.

    After every step, vectors longer than the largest length allowed for their class are shortened
    to this length. Of the classifier, the loss requires only a margin: maximising its confidence
    would move all vectors of a class to the same point in the middle of the class.
    """
    learnable = nn.Parameter(vectors.clone())
    optimizer = torch.optim.Adam([learnable], lr=config.learning_rate)
    for _ in range(config.num_steps if config.learning_rate > 0 else 0):
        loss = augmentation_loss(config, learnable, old, new_embeddings)
        (learnable.grad,) = torch.autograd.grad(loss, [learnable])
        optimizer.step()
        with torch.no_grad():
            learnable.copy_(within_range(learnable, limits))
    return learnable.detach()


def augmentation_loss(
    config: AdaptiveAugmentationConfig,
    vectors: Vectors,
    old: OldClasses,
    new_embeddings: Float[Tensor, "n m"],
) -> Float[Tensor, ""]:
    """Return the loss of augmentation vectors, a sum of three penalties.

    The old classifier must prefer the class of a vector by a margin. Augmented prototypes must keep
    away from the images of new classes. The vectors of a class must differ from each other.
    """
    points = (old.prototypes[:, None] + vectors).flatten(0, 1)
    labels = torch.arange(len(vectors), device=vectors.device).repeat_interleave(vectors.shape[1])
    directions = functional.normalize(points, dim=1)
    centres = functional.normalize(old.prototypes, dim=1)
    loss = _margin_loss(old.classifier(points) / COSINE_SCALE, labels, config.margin)
    if config.separation_weight:
        to_new = torch.cdist(directions, functional.normalize(new_embeddings, dim=1)).amin(dim=1)
        to_own = (directions - centres[labels]).norm(dim=1)
        loss = loss + config.separation_weight * functional.relu(to_own - to_new).mean()
    if config.diversity_weight and vectors.shape[1] > 1:
        own = functional.normalize(old.prototypes[:, None] + vectors, dim=2)
        apart = torch.cdist(own, own) + 2 * torch.eye(vectors.shape[1], device=vectors.device)
        wanted = (own - centres[:, None]).norm(dim=2).mean(dim=1, keepdim=True).detach()
        loss = loss + config.diversity_weight * functional.relu(wanted - apart.amin(dim=2)).mean()
    return loss


def _margin_loss(
    cosines: Float[Tensor, "n classes"], labels: Tensor, margin: float
) -> Float[Tensor, ""]:
    """Return the mean amount by which augmented prototypes miss the margin; 0 if there is only one
    class. The cosine of a prototype to its own class should exceed its cosine to every other class
    by the margin.
    """
    if cosines.shape[1] == 1:
        return cosines.new_zeros(())
    own = cosines.gather(1, labels[:, None]).squeeze(1)
    others = cosines.masked_fill(
        functional.one_hot(labels, cosines.shape[1]) == 1, -torch.inf
    ).amax(dim=1)
    return functional.relu(margin - (own - others)).mean()
