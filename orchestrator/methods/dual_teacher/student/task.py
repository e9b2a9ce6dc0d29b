"""One task of a student with weights of its own. The student learns from new images, old exemplars,
and the teacher's embedding and classifier (docs/method.md, section 3).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.backbones import BackboneConfig, InheritedBackboneConfig
from orchestrator.config.student import StudentConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.student.closed_form import (
    FeatureStatistics,
    discriminant,
    no_statistics,
)
from orchestrator.methods.dual_teacher.student.model import StudentModel, TaughtNetwork
from orchestrator.methods.dual_teacher.student.objective import Distillation
from orchestrator.methods.dual_teacher.student.taught_images import (
    TaughtImages,
    VariedAfresh,
    WithKnownFeatures,
)
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.methods.features.drift import drift_between
from orchestrator.models import (
    Backbone,
    CosineClassifier,
    Network,
    ProjectionEmbedding,
    build_backbone,
)
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import train
from orchestrator.training.random_streams import seeded_initialisation
from orchestrator.training.ranks import Ranks


def learn_student_task(
    previous: StudentModel | None,
    teacher: TeacherModel,
    data: LabeledImages,
    config: StudentConfig,
    context: LearningContext,
    features: Float[Tensor, "n d"] | None = None,
) -> StudentModel:
    """Distil the student of one task from its teacher.

    Args:
        previous: The student of the previous task, not modified; None for the first task.
        teacher: The teacher after this task.
        data: The new classes' training images.
        config: The student's configuration.
        context: Seed, device, image augmentation, listener for epoch reports.
        features: The teacher's features of the new images without augmentation, or None if they
            were not computed beforehand.
    """
    network = _start(previous, teacher, data, config, context)
    num_old = int(data.labels.min())
    shown = data.preceded_by(teacher.memory.exemplars[:num_old])
    taught = _taught_images(shown, num_old, teacher.network.extractor, features, config, context)
    extractor_before = None if previous is None else previous.taught.extractor.eval()
    distillation = Distillation(
        network, teacher, taught, shown.labels, config, context, extractor_before
    )

    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    teacher.network.eval()
    network.train()
    generator_of = partial(context.stream, "student batches")
    batches = BalancedBatches(
        shown.labels,
        config.training.batch_size,
        generator_of,
        num_old,
        config.rehearsal if num_old else 1.0,
    )
    train("student", [network], batches, distillation.loss, config.training, context)
    if previous is not None:
        _consolidate(network, before, config.consolidation)
    network.eval()
    statistics = _statistics(previous, network.extractor, shown, num_old, context.ranks)
    if config.classifier == "taught":
        return StudentModel(network, network, teacher.space, statistics)
    answering = discriminant(statistics, config.classifier_shrinkage).to(context.device)
    return StudentModel(
        Network(network.extractor, nn.Identity(), answering).eval(),
        network,
        teacher.space,
        statistics,
    )


def _own_backbone(config: StudentConfig) -> BackboneConfig:
    assert not isinstance(config.backbone, InheritedBackboneConfig)  # noqa: S101 - see `inherited`
    return config.backbone


def _taught_images(
    shown: LabeledImages,
    num_old: int,
    extractor: Backbone,
    features: Tensor | None,
    config: StudentConfig,
    context: LearningContext,
) -> TaughtImages:
    """Return the source of training batches: one exemplar of every old class and the new images,
    with the features of the teacher's extractor.
    """
    stronger = replace(
        context, image_augmentation=context.image_augmentation.scaled(config.augmentation_strength)
    )
    if features is None:
        return VariedAfresh(
            shown.images,
            extractor,
            stronger,
            bool(config.embedding_weight and config.mixture_weight),
        )
    if num_old:
        features = torch.cat(
            [extract_features(extractor, shown.images[:num_old]).to(features.device), features]
        )
    size = shown.shape[-1]
    # shrink the images once if the student's network takes smaller inputs
    seen = min(_own_backbone(config).input_size or size, size)
    return WithKnownFeatures(shown.resized(seen).images, features, stronger)


def _statistics(
    previous: StudentModel | None,
    extractor: Backbone,
    shown: LabeledImages,
    num_old: int,
    ranks: Ranks,
) -> FeatureStatistics:
    """Return the statistics of all seen classes in the features of the trained extractor. Each rank
    extracts the features of a share of the images.
    """

    def features_by(looking: Backbone) -> Tensor:
        return ranks.gather(extract_features(looking, ranks.share(shown.images)), len(shown)).cpu()

    features, known = features_by(extractor), no_statistics(extractor.num_features)
    if previous is not None:
        known = previous.statistics.followed(
            drift_between(features_by(previous.taught.extractor), features, num_old)
        )
    return known.with_classes(features[num_old:], shown.labels[num_old:])


def _start(
    previous: StudentModel | None,
    teacher: TeacherModel,
    data: LabeledImages,
    config: StudentConfig,
    context: LearningContext,
) -> TaughtNetwork:
    """Return the network that training starts from. The network maps images into the teacher's
    current joint embedding space, and its classifier includes the new classes.
    """
    dimensions = len(teacher.space.offset)
    if previous is None:
        with seeded_initialisation(context.seed_of("network")):
            extractor = build_backbone(_own_backbone(config), data.shape)
            network = Network(
                extractor,
                ProjectionEmbedding(extractor.num_features, dimensions),
                CosineClassifier(dimensions),
            )
    else:
        network = copy.deepcopy(previous.taught)
        if config.embedding_weight:
            change, shift = teacher.space.change_from(previous.space)
            network.to(change.device).embedding.rebase(change, shift)
            if not config.has_both_teachers:
                network.classifier.rebase(change)
    network.to(context.device)
    directions = teacher.network.classifier.directions().detach()
    if not config.has_both_teachers:
        directions = _untaught_directions(network, directions, context)
    network.classifier.anchor(directions)
    return network


def _untaught_directions(
    network: TaughtNetwork, taught: Tensor, context: LearningContext
) -> Tensor:
    """Return a direction for each class: a random one for a new class, the present one for a known
    class.

    A student that imitates only the teacher's embedding, or only the teacher's class probabilities,
    starts from these directions, because it cannot use those of the teacher's classifier.
    """
    num_known = network.classifier.num_classes
    drawn = functional.normalize(
        torch.randn(taught.shape, generator=context.stream("class directions")), dim=1
    ).to(taught)
    drawn[:num_known] = network.classifier.anchors
    return drawn


@torch.no_grad()
def _consolidate(network: TaughtNetwork, before: Mapping[str, Tensor], share: float) -> None:
    """Average the weights from before and after a task, to forget less (WiSE-FT, Wortsman et al.
    2022).

    Training sees only one exemplar per old class, so the features of all other old images drift.
    Averaging reduces this drift. It costs little accuracy on new classes, because both sets of
    weights imitate the same teacher and lie in one basin of the loss.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():  # integer counters of batch normalisation are not averaged
            tensor.lerp_(before[name], 1 - share)
