"""Training of embedding module and classifier on new data and augmented prototypes [A §58, §69;
claim 7].

Embedding module and classifier start from the closed-form solution and learn corrections to it. The
corrections are kept only as far as they help on held-out new images and on substitutes for images
of old classes [METHOD §2 (d)].
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
    """The trainable parts behind the extractor: embedding module and classifier."""

    embedding: WhitenedEmbedding
    classifier: CosineClassifier

    def anchored(self, statistics: ClassStatistics) -> Head:
        """Anchor the classifier at the directions of the given classes, and return the head."""
        with torch.no_grad():
            self.classifier.anchor(class_directions(self.embedding, statistics))
        return self

    def learned(self) -> list[nn.Parameter]:
        """Return the trained parameters: those of the adapter and the classifier's residuals."""
        return [*self.embedding.adapter.parameters(), self.classifier.residuals]


@dataclass(frozen=True)
class FixedPart:
    """The part of embeddings that training does not change, computed once.

    Attributes:
        whitened: The closed-form part of the embeddings.
        normalized: The power-normalised features that the adapter reads.
    """

    whitened: Float[Tensor, "*n m"]
    normalized: Float[Tensor, "*n d"]

    @classmethod
    def of(cls, embedding: WhitenedEmbedding, normalized: Float[Tensor, "*n d"]) -> FixedPart:
        """Return the fixed part of these features' embeddings."""
        return cls(embedding.whiten(normalized), normalized)

    def __getitem__(self, chosen: Tensor | tuple[Tensor, ...]) -> FixedPart:
        """Return the fixed part of some of the embeddings."""
        return FixedPart(self.whitened[chosen], self.normalized[chosen])

    def embedded_by(self, embedding: WhitenedEmbedding) -> Float[Tensor, "*n m"]:
        """Return the embeddings, with the adapter's current corrections."""
        return embedding.adapt(self.whitened, embedding.standardize(self.normalized))


@dataclass(frozen=True)
class RefinementData:
    """The data that one task's refinement learns from.

    Attributes:
        new: Power-normalised features of the new classes' images: the originals, then randomly
            augmented copies.
        new_labels: Classes of the new images.
        statistics: Statistics of all seen classes.
        members: Power-normalised substitutes for images of the old classes, from which the vectors
            were made.
        vectors: Augmentation of the old classes, which are the first classes of `statistics`.
    """

    new: Float[Tensor, "views n d"]
    new_labels: Int64[Tensor, " n"]
    statistics: ClassStatistics
    members: Float[Tensor, "old vectors d"]
    vectors: Float[Tensor, "old vectors m"]


def refine(
    head: Head, data: RefinementData, config: TeacherConfig, context: LearningContext
) -> None:
    """Train the head in place.

    The loss of a class-balanced batch of new features and augmented prototypes is cross-entropy
    over all seen classes, plus push and pull, plus a term that keeps the embedding of prototypes
    and new data close to the previous one.
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
    """Return a copy of the head, moved a share of the way from `start`: 0 is the start, 1 the whole
    way.
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
    """Return the strength of refinement that helps most on held-out features; 0 unless it helps
    beyond chance.

    The gain in class-balanced accuracy over the start must exceed twice the standard error of the
    paired difference: on a few dozen held-out images, one more correct prediction means nothing.

    Args:
        head: The refined head.
        start: The head before refinement.
        statistics: Statistics of all seen classes.
        held_out: Features to judge by.
        labels: Classes of the features.
        num_images: Number of distinct images behind the held-out features. The first block has the
            features of the images, each further block the same features moved to another class. An
            image and its moved copies are right or wrong together, and count as one piece of
            evidence.
    """
    # whiten once for all strengths: whitening does not depend on the strength, and is by far the
    # most work
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
    """Return rows to learn from and rows to judge by, per class; a class of fewer than five images
    holds out none.
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
    """Return the mean of the classes' mean gains, and its standard error."""
    classes, of_point, counts = labels.unique(return_inverse=True, return_counts=True)
    shares = differences / (counts[of_point] * len(classes))
    of_image = shares.view(-1, num_images).sum(dim=0)
    own = labels[:num_images]
    deviations = torch.cat(
        [of_image[own == label] - of_image[own == label].mean() for label in own.unique()]
    )
    return float(shares.sum()), float(deviations.square().sum().sqrt())
