"""Refinement of the closed form, kept as far as held-out images say it helps [METHOD §2 (d)]."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from orchestrator.config.teacher import (
    NoAugmentationConfig,
    TeacherConfig,
)
from orchestrator.methods.dual_teacher.teacher.augmentation import (
    OldClasses,
    augmentation_vectors,
    draw_features,
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


def refined(
    start: Head,
    known: ClassStatistics,
    features: Sequence[ClassFeatures],
    basis: Tensor,
    setting: tuple[TeacherConfig, LearningContext],
) -> tuple[Head, Vectors, float]:
    """Steps 2 to 5, on all but the held-out images: the refined head, the vectors, and how much of
    the refinement was kept.
    """
    config, context = setting
    labels = range(known.num_classes, known.num_classes + len(features))
    learning, judging = _split(features, context) if config.refinement_gate else (features, [])
    statistics = with_classes(known, learning, config)
    space = enter_space(start.embedding, statistics, basis, config)
    start.anchored(statistics)
    vectors = _vectors(start, statistics, known.num_classes, learning, config, context)
    head = copy.deepcopy(start)
    strength = 0.0
    if all(
        len(of_class) for of_class in judging
    ):  # else there are too few images to tell whether training helps
        refine(
            head,
            RefinementData(*_features_and_labels(learning, labels), statistics, vectors),
            config,
            context,
        )
        strength = _strength(head, start, statistics, judging, labels) if judging else 1.0
    return scaled(head, start, strength), Vectors(vectors, space), strength


@dataclass(frozen=True)
class Vectors:
    """Augmentation vectors, and the space they live in."""

    values: Tensor
    space: JointSpace


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
    """What is known, with the new classes added."""
    for of_class in features:
        known = with_class(known, of_class, config.view_weight)
    return known


def enter_space(
    embedding: WhitenedEmbedding, statistics: ClassStatistics, basis: Tensor, config: TeacherConfig
) -> JointSpace:
    """Moves the embedding module into the space for these classes."""
    space = joint_space(statistics, basis, config.joint_embedding)
    space.install(embedding)
    return space


def _vectors(
    start: Head,
    statistics: ClassStatistics,
    num_old: int,
    new: Sequence[ClassFeatures],
    config: TeacherConfig,
    context: LearningContext,
) -> Tensor:
    """Step 2: the augmentation of the old prototypes, judged by the old task's classifier."""
    if num_old == 0:
        return torch.zeros(0, 1, config.joint_embedding.dimensions, device=context.device)
    num_vectors = (
        1
        if isinstance(config.augmentation, NoAugmentationConfig)
        else config.augmentation.num_vectors
    )
    old_classes = statistics.first(num_old)
    drawn = draw_features(config.spread, old_classes, num_vectors, context.stream("vectors")).to(
        context.device
    )
    with torch.no_grad():
        prototypes = start.embedding.embed_normalized(old_classes.means.to(context.device))
        new_embeddings = start.embedding.embed_normalized(
            torch.cat([of_class.clean for of_class in new])
        )
    old = OldClasses(prototypes, start.classifier.restricted_to(num_old))
    deviations = (drawn - old_classes.means[:, None].to(context.device)) @ start.embedding.whitening
    return augmentation_vectors(config.augmentation, deviations, old, new_embeddings)


def _split(
    features: Sequence[ClassFeatures], context: LearningContext
) -> tuple[list[ClassFeatures], list[Tensor]]:
    """Features to learn from, and clean features to judge by; the latter may be empty."""
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
    """How far to follow a refinement, judged by held-out new images and by what stands for images
    of the old classes.

    That is the old means with the deviations of those new images from theirs. Draws from the spread
    that the augmented prototypes come from would all praise what was trained on them: real images
    lie further out, and not as a normal distribution has it.
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
