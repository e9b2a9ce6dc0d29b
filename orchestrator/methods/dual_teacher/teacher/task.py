"""The teacher learns one task: METHOD §2, steps 1 to 6, in the order of the patent [A claims 1 to
7].

Old classes come as prototypes from the memory (1) and are augmented by vectors that the old
classifier judges (2); new images are embedded (3), pushed and pulled (4) while embedding module and
classifier train (5), and are reduced to prototypes (6).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from orchestrator.config.teacher import (
    FineTunedExtractorConfig,
    LowRankSpreadConfig,
    NoAugmentationConfig,
    PretrainedExtractorConfig,
    TeacherConfig,
)
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.teacher.augmentation import (
    OldClasses,
    augmentation_vectors,
    draw_features,
)
from orchestrator.methods.dual_teacher.teacher.closed_form import (
    JointSpace,
    joint_space,
    principal_basis,
)
from orchestrator.methods.dual_teacher.teacher.prototypes import PrototypeMemory, select_prototype
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
    carry,
    no_classes,
    with_class,
)
from orchestrator.methods.features.drift import drift_between
from orchestrator.methods.features.extractor import fine_tune_extractor, pretrain_extractor
from orchestrator.methods.features.views import (
    ClassFeatures,
    Views,
    features_by_class,
    normalized_features,
)
from orchestrator.models import (
    Backbone,
    CosineClassifier,
    Network,
    WhitenedEmbedding,
    build_backbone,
)
from orchestrator.training.context import LearningContext
from orchestrator.training.random_streams import seeded_initialisation

_HELD_OUT_FRACTION = 0.2


TeacherNetwork = Network[WhitenedEmbedding, CosineClassifier]


@dataclass(frozen=True)
class TeacherModel:
    """The teacher after a task.

    Attributes:
        network: Extractor, embedding module, classifier.
        memory: Prototypes of all seen classes.
        space: Where the joint embedding space lies after this task.
        vectors: Augmentation of the old classes' prototypes in this task (old classes, vectors,
            dimensions).
        refinement_strength: How much of what this task's refinement learned was kept, in [0, 1].
    """

    network: TeacherNetwork
    memory: PrototypeMemory
    space: JointSpace
    vectors: Tensor
    refinement_strength: float

    @property
    def details(self) -> dict[str, float]:
        """How much of the refinement was kept."""
        return {"refinement_strength": self.refinement_strength}


def learn_teacher_task(
    previous: TeacherModel | None,
    data: LabeledImages,
    config: TeacherConfig,
    context: LearningContext,
    views: Sequence[Views] | None = None,
) -> TeacherModel:
    """Teaches the classes of one task.

    Args:
        previous: The teacher of the task before; None for the first task. It is left as it is.
        data: The new classes' training images.
        config: How to learn.
        context: Seed, device, image augmentation, listener.
        views: What the extractor makes of each new class's images, where that is known already;
            None computes it.
    """
    network, known = _start(previous, data, config, context)
    known = _train_extractor(network.extractor, known, previous, data, config, context)
    if views is None:
        features = features_by_class(network.extractor, data, config.num_views, context)
    else:
        features = [of_class.normalized() for of_class in views]
    basis = (
        previous.space.basis
        if previous
        else _first_basis(_statistics(known, features, config), config)
    )
    head, vectors, strength = _refined(
        Head(network.embedding, network.classifier), known, features, basis, (config, context)
    )
    statistics = _statistics(known, features, config)
    space = _enter_space(head.embedding, statistics, basis, config)
    head.anchored(statistics)
    taught = Network(network.extractor, head.embedding, head.classifier).eval()
    memory = _update_memory(previous, taught, data, features, statistics)
    change, _ = space.change_from(vectors.space)
    return TeacherModel(taught, memory, space, vectors.values @ change.to(context.device), strength)


def _refined(
    start: Head,
    known: ClassStatistics,
    features: Sequence[ClassFeatures],
    basis: Tensor,
    setting: tuple[TeacherConfig, LearningContext],
) -> tuple[Head, _Vectors, float]:
    """Steps 2 to 5, on all but the held-out images: the refined head, the vectors, and how much of
    the refinement was kept.
    """
    config, context = setting
    labels = range(known.num_classes, known.num_classes + len(features))
    learning, judging = _split(features, context) if config.refinement_gate else (features, [])
    statistics = _statistics(known, learning, config)
    space = _enter_space(start.embedding, statistics, basis, config)
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
    return scaled(head, start, strength), _Vectors(vectors, space), strength


@dataclass(frozen=True)
class _Vectors:
    """Augmentation vectors, and the space they live in."""

    values: Tensor
    space: JointSpace


def _start(
    previous: TeacherModel | None,
    data: LabeledImages,
    config: TeacherConfig,
    context: LearningContext,
) -> tuple[TeacherNetwork, ClassStatistics]:
    """The network to go on from, and what is known of the classes so far."""
    if previous is not None:
        return copy.deepcopy(previous.network).to(context.device), previous.memory.statistics
    dimensions = config.joint_embedding.dimensions
    with seeded_initialisation(context.seed_of("network")):
        extractor = build_backbone(config.backbone, data.shape)
        embedding = WhitenedEmbedding(
            extractor.num_features, dimensions, config.joint_embedding.adapter_width
        )
    rank = config.spread.rank if isinstance(config.spread, LowRankSpreadConfig) else 0
    network = Network(extractor, embedding, CosineClassifier(dimensions)).to(context.device)
    return network, no_classes(extractor.num_features, rank)


def _train_extractor(
    extractor: Backbone,
    known: ClassStatistics,
    previous: TeacherModel | None,
    data: LabeledImages,
    config: TeacherConfig,
    context: LearningContext,
) -> ClassStatistics:
    if isinstance(config.extractor, PretrainedExtractorConfig):
        return known
    if previous is None:
        pretrain_extractor(extractor, data, config, context)
        return known
    if not isinstance(config.extractor, FineTunedExtractorConfig):
        return known
    exemplars = previous.memory.exemplars
    seen = data.preceded_by(exemplars).images
    before = normalized_features(extractor, seen)
    fine_tune_extractor(extractor, data, config, context)
    return carry(known, drift_between(before, normalized_features(extractor, seen), len(exemplars)))


def _labels(data: LabeledImages) -> list[int]:
    return [int(label) for label in data.labels.unique()]


def _features_and_labels(
    features: Sequence[ClassFeatures], labels: Sequence[int]
) -> tuple[Tensor, Tensor]:
    counts = torch.tensor([len(of_class.clean) for of_class in features])
    return torch.cat([of_class.all_views() for of_class in features], dim=1), torch.tensor(
        labels
    ).repeat_interleave(counts)


def _statistics(
    known: ClassStatistics, features: Sequence[ClassFeatures], config: TeacherConfig
) -> ClassStatistics:
    """What is known, with the new classes added."""
    for of_class in features:
        known = with_class(known, of_class, config.view_weight)
    return known


def _first_basis(statistics: ClassStatistics, config: TeacherConfig) -> Tensor:
    return principal_basis(statistics.covariance, config.joint_embedding.dimensions)


def _enter_space(
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


def _update_memory(
    previous: TeacherModel | None,
    network: TeacherNetwork,
    data: LabeledImages,
    features: Sequence[ClassFeatures],
    statistics: ClassStatistics,
) -> PrototypeMemory:
    """Step 6, with step 1 for the classes that are new now and old in the next task."""
    exemplars = [previous.memory.exemplars] if previous else []
    for label, of_class in zip(_labels(data), features, strict=True):
        with torch.no_grad():
            chosen = select_prototype(network.embedding.embed_normalized(of_class.clean))
        exemplars.append(data.images[data.labels == label][chosen : chosen + 1])
    return PrototypeMemory(torch.cat(exemplars), statistics)
