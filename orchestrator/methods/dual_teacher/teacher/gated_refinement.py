"""Refine the closed-form head (embedding module and classifier), and keep only the share of the
refinement that helps on held-out images (docs/method.md, section 2 (d)).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from orchestrator.config.teacher import (
    NoAugmentationConfig,
    TeacherConfig,
)
from orchestrator.methods.dual_teacher.teacher.augmentation import (
    OldClasses,
    augmentation_vectors,
    draw_features,
    observed_deviations,
)
from orchestrator.methods.dual_teacher.teacher.closed_form import (
    JointSpace,
    joint_space,
)
from orchestrator.methods.dual_teacher.teacher.refinement import (
    Head,
    RefinementData,
    best_strength,
    hold_out,
    refine,
    scaled,
)
from orchestrator.methods.dual_teacher.teacher.statistics import (
    ClassStatistics,
    with_class,
)
from orchestrator.methods.views import (
    ClassFeatures,
)
from orchestrator.models import (
    WhitenedEmbedding,
)
from orchestrator.training.context import LearningContext

_HELD_OUT_FRACTION = 0.2


@dataclass(frozen=True)
class LearnedHead:
    """Embedding module and classifier after a task, with the data from which they were computed.

    Attributes:
        head: Embedding module and classifier, refined or in closed form.
        statistics: Statistics of all seen classes.
        space: The joint embedding space.
        vectors: Augmentation vectors of the old classes, in this space.
        strength: Share of the refinement (the trained correction of the closed form) that was kept,
            in [0, 1].
    """

    head: Head
    statistics: ClassStatistics
    space: JointSpace
    vectors: Tensor
    strength: float


@dataclass(frozen=True)
class Augmented:
    """Substitutes for images of the old classes, and the augmentation vectors computed from the
    substitutes.
    """

    members: Float[Tensor, "old vectors d"]
    vectors: Float[Tensor, "old vectors m"]


def learn_head(
    start: Head,
    known: ClassStatistics,
    features: Sequence[ClassFeatures],
    basis: Tensor,
    setting: tuple[TeacherConfig, LearningContext],
) -> LearnedHead:
    """Return the head (embedding module and classifier) after steps 2 to 5 of section 2 in
    docs/method.md.

    Without refinement, the head is the closed form computed from all images. With refinement, the
    head learns from all images that are not held out, and is then moved into the joint embedding
    space that is computed from all images.
    """
    config, context = setting
    refines = config.refinement.epochs > 0
    gated = refines and config.refinement_gate
    learning, judging = _split(features, context) if gated else (features, [])
    statistics = with_classes(known, learning, config)
    space = enter_space(start.embedding, statistics, basis, config)
    if not known.num_classes:
        start.embedding.set_standardization(
            statistics.means.mean(dim=0), statistics.covariance.diagonal()
        )
    start.anchored(statistics)
    augmented = _augmented(start, statistics, known.num_classes, learning, setting)
    if not refines:
        return LearnedHead(start, statistics, space, augmented.vectors, 0.0)
    head, strength = _refined(start, statistics, augmented, (learning, judging), setting)
    statistics = with_classes(known, features, config)
    after = enter_space(head.embedding, statistics, basis, config)
    change, _ = after.change_from(space)
    vectors = augmented.vectors
    moved = vectors @ change.to(context.device) if vectors.any() else vectors
    return LearnedHead(head.anchored(statistics), statistics, after, moved, strength)


def _refined(
    start: Head,
    statistics: ClassStatistics,
    augmented: Augmented,
    features: tuple[Sequence[ClassFeatures], Sequence[Tensor]],
    setting: tuple[TeacherConfig, LearningContext],
) -> tuple[Head, float]:
    """Refine a head (embedding module and classifier) and keep a share of what training changed.
    Return the new head and the share, in [0, 1].

    If the refinement gate is off, the share is 1. Otherwise held-out images determine the share; it
    is 0 if a new class has no held-out images.
    """
    learning, judging = features
    labels = range(statistics.num_classes - len(learning), statistics.num_classes)
    head = copy.deepcopy(start)
    strength = 0.0
    if all(
        len(of_class) for of_class in judging
    ):  # a class without held-out images cannot show whether refinement helps
        data = RefinementData(
            *_features_and_labels(learning, labels),
            statistics,
            augmented.members,
            augmented.vectors,
        )
        refine(head, data, *setting)
        strength = _strength(head, start, statistics, judging, labels) if judging else 1.0
    return scaled(head, start, strength), strength


def _features_and_labels(
    features: Sequence[ClassFeatures], labels: Sequence[int]
) -> tuple[Tensor, Tensor]:
    counts = torch.tensor([len(of_class.clean) for of_class in features])
    return torch.cat([of_class.all_views() for of_class in features], dim=1), torch.tensor(
        labels
    ).repeat_interleave(counts)


def with_classes(
    known: ClassStatistics, features: Sequence[ClassFeatures], config: TeacherConfig
) -> ClassStatistics:
    """Return the statistics of the known classes, with the new classes added."""
    for of_class in features:
        known = with_class(known, of_class, config.view_weight)
    return known


def enter_space(
    embedding: WhitenedEmbedding, statistics: ClassStatistics, basis: Tensor, config: TeacherConfig
) -> JointSpace:
    """Make the embedding module map features into the joint embedding space of the given classes,
    and return this space.
    """
    space = joint_space(statistics, basis, config.joint_embedding)
    space.install(embedding)
    return space


def _augmented(
    start: Head,
    statistics: ClassStatistics,
    num_old: int,
    new: Sequence[ClassFeatures],
    setting: tuple[TeacherConfig, LearningContext],
) -> Augmented:
    """Augment the old prototypes (step 2) with vectors that the old task's classifier judges. If
    augmentation is off, each old class gets a single zero vector.
    """
    config, context = setting
    means = statistics.means[:num_old].to(context.device)
    if num_old == 0 or isinstance(config.augmentation, NoAugmentationConfig):
        width = start.embedding.whitening.shape[1]
        return Augmented(means[:, None], torch.zeros(num_old, 1, width, device=context.device))
    members = draw_features(
        config.spread,
        statistics.first(num_old),
        observed_deviations(new),
        config.augmentation.num_vectors,
        context.stream("vectors"),
    ).to(context.device)
    with torch.no_grad():
        prototypes = start.embedding.embed_normalized(means)
        new_embeddings = start.embedding.embed_normalized(
            torch.cat([of_class.clean for of_class in new])
        )
    old = OldClasses(prototypes, start.classifier.restricted_to(num_old))
    drawn = (members - means[:, None]) @ start.embedding.whitening
    return Augmented(members, augmentation_vectors(config.augmentation, drawn, old, new_embeddings))


def _split(
    features: Sequence[ClassFeatures], context: LearningContext
) -> tuple[list[ClassFeatures], list[Tensor]]:
    """Return the features to learn from, and the held-out features to judge refinement by. Held-out
    features are of unaugmented images; a class of few images has none.
    """
    rows = hold_out(features, _HELD_OUT_FRACTION, context.stream("hold out"))
    learning = [
        of_class.subset(chosen) for of_class, (chosen, _) in zip(features, rows, strict=True)
    ]
    judging = [of_class.clean[chosen] for of_class, (_, chosen) in zip(features, rows, strict=True)]
    return learning, judging


def _strength(
    head: Head,
    start: Head,
    statistics: ClassStatistics,
    judging: Sequence[Tensor],
    labels: Sequence[int],
) -> float:
    """Return the share of the refinement to keep, judged by held-out new images and by substitutes
    for images of the old classes.

    A substitute is the mean of an old class plus the deviation of a held-out new image from its
    class mean. Draws from the spread of the augmented prototypes would be no fair test, because
    refinement was trained on such draws. Real images lie farther from the mean, and are not
    normally distributed.
    """
    means = statistics.means.to(judging[0].device)
    deviations = torch.cat(
        [of_class - means[label] for label, of_class in zip(labels, judging, strict=True)]
    )
    old = means[: labels[0], None] + deviations
    counts = torch.tensor(
        [*(len(of_class) for of_class in judging), *[len(deviations)] * labels[0]]
    )
    judged = torch.tensor([*labels, *range(labels[0])]).repeat_interleave(counts)
    return best_strength(
        head, start, statistics, torch.cat([*judging, *old]), judged, len(deviations)
    )
