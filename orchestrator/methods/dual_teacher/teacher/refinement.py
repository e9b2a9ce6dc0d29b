"""Refinement: training of embedding module and classifier on new images and augmented prototypes
(patent A, claim 7 and paragraphs 58 and 69).

Embedding module and classifier start from the closed-form solution and learn corrections to it.
Held-out new images, and substitutes for images of old classes, determine what share of the
corrections is kept (docs/method.md, section 2 (d)).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.teacher import TeacherConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.methods.dual_teacher.teacher.closed_form import (
    class_directions,
    directions_of,
    spread_within,
)
from orchestrator.methods.dual_teacher.teacher.joint_embedding import keep_loss, push_pull
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.views import ClassFeatures
from orchestrator.models import CosineClassifier, WhitenedEmbedding
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train

STRENGTHS = (0.0, 0.25, 0.5, 1.0)
_STANDARD_ERRORS = 2


@dataclass(frozen=True)
class Head:
    """The parts of a network behind its extractor: embedding module and classifier."""

    embedding: WhitenedEmbedding
    classifier: CosineClassifier

    def anchored(self, statistics: ClassStatistics) -> Head:
        """Compute the classifier's anchors (closed-form class directions) from the class means, and
        return the head.
        """
        with torch.no_grad():
            self.classifier.anchor(class_directions(self.embedding, statistics))
        return self

    def learned(self) -> list[nn.Parameter]:
        """Return the trained parameters: the adapter's parameters and the classifier's
        residuals.
        """
        return [*self.embedding.adapter.parameters(), self.classifier.residuals]


@dataclass(frozen=True)
class FixedPart:
    """Values from which embeddings are computed and which training does not change. They are
    computed only once.

    Attributes:
        whitened: The closed-form part of the embeddings.
        normalized: The power-normalised features that the adapter reads.
    """

    whitened: Float[Tensor, "*n m"]
    normalized: Float[Tensor, "*n d"]

    @classmethod
    def of(cls, embedding: WhitenedEmbedding, normalized: Float[Tensor, "*n d"]) -> FixedPart:
        """Compute, from power-normalised features, the part of the embeddings that training does
        not change.
        """
        return cls(embedding.whiten(normalized), normalized)

    def __getitem__(self, chosen: Tensor | tuple[Tensor, ...]) -> FixedPart:
        """Return the fixed part of the embeddings that the index `chosen` selects."""
        return FixedPart(self.whitened[chosen], self.normalized[chosen])

    def embedded_by(self, embedding: WhitenedEmbedding) -> Float[Tensor, "*n m"]:
        """Return the embeddings: the closed-form part plus the current output of the adapter."""
        return embedding.adapt(self.whitened, embedding.standardize(self.normalized))


@dataclass(frozen=True)
class RefinementData:
    """The data that one task's refinement learns from.

    Attributes:
        new: Power-normalised features of the new classes' images: the originals, then randomly
            augmented copies.
        new_labels: Classes of the new images.
        statistics: Statistics of all seen classes.
        members: Power-normalised substitutes for images of the old classes, one for each
            augmentation vector.
        vectors: Augmentation vectors, computed from `members`. The old classes are the first
            classes of `statistics`.
    """

    new: Float[Tensor, "views n d"]
    new_labels: Int64[Tensor, " n"]
    statistics: ClassStatistics
    members: Float[Tensor, "old vectors d"]
    vectors: Float[Tensor, "old vectors m"]


def refine(
    head: Head, data: RefinementData, config: TeacherConfig, context: LearningContext
) -> None:
    """Refine the head (embedding module and classifier) in place, by training.

    A batch consists of features of new images and augmented prototypes of old classes, which
    `BalancedBatches` takes from all classes in turn. The loss is the sum of three terms:
    cross-entropy over all seen classes, push and pull, and the keep loss. The keep loss penalises
    changes of the directions of the embeddings of class means and new images.
    """
    num_old, num_vectors, _ = data.vectors.shape
    old_labels = torch.arange(num_old).repeat_interleave(num_vectors)
    labels = torch.cat([data.new_labels.cpu(), old_labels])
    device, num_new, embedding = data.new.device, len(data.new_labels), head.embedding
    with torch.no_grad():
        new = FixedPart.of(embedding, data.new)
        means = FixedPart.of(embedding, data.statistics.means.to(device))
        augmented = FixedPart(
            (means.whitened[:num_old, None] + data.vectors).flatten(0, 1),
            data.members.flatten(0, 1),
        )
        before_new, before_means = new.embedded_by(embedding), means.embedded_by(embedding)
        spread = spread_within(embedding, data.statistics)

    def loss(rows: Tensor, step: Step) -> LossOutput:
        new_rows, old_rows = (
            rows[rows < num_new].to(device),
            rows[rows >= num_new].to(device) - num_new,
        )
        views = torch.randint(
            len(data.new),
            new_rows.shape,
            generator=context.stream_of_rank("refinement views", step.index),
        )
        chosen = (views.to(device), new_rows)
        embedded_new, centres = new[chosen].embedded_by(embedding), means.embedded_by(embedding)
        of_class = torch.div(old_rows, num_vectors, rounding_mode="floor")
        points = torch.cat([embedded_new, augmented[old_rows].embedded_by(embedding)])
        targets = torch.cat([data.new_labels.to(device)[new_rows], of_class])
        anchors = directions_of(centres, data.statistics.counts, spread)
        classification = functional.cross_entropy(head.classifier.logits(points, anchors), targets)
        push, pull = push_pull(points, targets, centres, config.joint_embedding)
        keep = keep_loss(embedded_new, before_new[chosen]) if len(new_rows) else 0.0
        keep = keep + keep_loss(centres, before_means)
        joint = config.joint_embedding
        total = classification + joint.weight * (push + pull) + joint.keep_weight * keep
        return LossOutput(total, {"push": push.detach(), "pull": pull.detach()})

    generator_of = partial(context.stream, "refinement batches")
    batches = BalancedBatches(
        labels,
        config.refinement.batch_size,
        generator_of,
        num_old,
        config.rehearsal if num_old else 1.0,
    )
    train(
        "embedding",
        [head.embedding.adapter, head.classifier],
        batches,
        loss,
        config.refinement,
        context,
    )


@torch.no_grad()
def scaled(head: Head, start: Head, strength: float) -> Head:
    """Return a copy of the head with only a share of what training changed. Strength 0 gives the
    parameters of `start`, strength 1 those of `head`.
    """
    result = copy.deepcopy(head)
    for parameter, before in zip(result.learned(), start.learned(), strict=True):
        parameter.copy_(before + strength * (parameter - before))
    return result


@torch.no_grad()
def best_strength(
    head: Head,
    start: Head,
    statistics: ClassStatistics,
    held_out: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    num_images: int,
) -> float:
    """Return the share of the refinement with the highest accuracy on held-out features; 0 if the
    gain may be due to chance.

    The gain in class-balanced accuracy over `start` must exceed twice its standard error: on a few
    dozen held-out images, one more correct prediction means nothing.

    Args:
        head: The refined head.
        start: The head before refinement.
        statistics: Statistics of all seen classes.
        held_out: Features to judge by.
        labels: Classes of the features.
        num_images: Number of held-out images. The first `num_images` rows of `held_out` are their
            features. Every further block of rows is a copy of these features, moved to another
            class. An image and its moved copies depend on each other, so they count as one
            observation.
    """
    # Compute the fixed parts of the embeddings once for all candidate shares of the refinement.
    # They do not depend on the share, and whitening is by far the most work.
    means = FixedPart.of(start.embedding, statistics.means.to(held_out.device))
    judged, spread = (
        FixedPart.of(start.embedding, held_out),
        spread_within(start.embedding, statistics),
    )

    def hits(strength: float) -> Float[Tensor, " n"]:
        gone = scaled(head, start, strength)
        anchors = directions_of(means.embedded_by(gone.embedding), statistics.counts, spread)
        logits = gone.classifier.logits(judged.embedded_by(gone.embedding), anchors)
        return (logits.argmax(dim=1).cpu() == labels.cpu()).float()

    before = hits(0.0)
    gains = {
        strength: _balanced_gain(hits(strength) - before, labels.cpu(), num_images)
        for strength in STRENGTHS
        if strength
    }
    best = max(gains, key=lambda strength: gains[strength][0])
    gain, error = gains[best]
    return best if gain > _STANDARD_ERRORS * error else 0.0


def hold_out(
    features: Sequence[ClassFeatures], fraction: float, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Split the images of each class at random: return the row numbers to learn from, and those to
    hold out. No image is held out from a class of fewer than five images.
    """
    parts = []
    for of_class in features:
        num = len(of_class.clean)
        num_held_out = max(1, round(fraction * num)) if num >= _FEWEST_TO_SPLIT else 0
        order = torch.randperm(num, generator=generator)
        parts.append((order[num_held_out:], order[:num_held_out]))
    return parts


_FEWEST_TO_SPLIT = 5


def _balanced_gain(
    differences: Float[Tensor, " n"], labels: Int64[Tensor, " n"], num_images: int
) -> tuple[float, float]:
    """Return by how much refinement raises the class-balanced accuracy, and the standard error of
    this gain.
    """
    classes, of_point, counts = labels.unique(return_inverse=True, return_counts=True)
    shares = differences / (counts[of_point] * len(classes))
    of_image = shares.view(-1, num_images).sum(dim=0)
    own = labels[:num_images]
    deviations = torch.cat(
        [of_image[own == label] - of_image[own == label].mean() for label in own.unique()]
    )
    return float(shares.sum()), float(deviations.square().sum().sqrt())
