"""One task of the teacher: steps 1 to 6 of section 2 in docs/method.md. Their order is that of
patent A, claims 1 to 7.

Step 1 takes the prototypes of old classes from the memory. Step 2 augments the prototypes with
vectors that the old classifier judges. Step 3 embeds the new images. Steps 4 and 5 push and pull
embeddings while embedding module and classifier are trained. Step 6 reduces the new images to
prototypes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from orchestrator.config.teacher import (
    FineTunedExtractorConfig,
    LowRankSpreadConfig,
    PretrainedExtractorConfig,
    TeacherConfig,
)
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.teacher.agreement import Agreement
from orchestrator.methods.dual_teacher.teacher.closed_form import (
    principal_basis,
)
from orchestrator.methods.dual_teacher.teacher.gated_refinement import (
    learn_head,
    with_classes,
)
from orchestrator.methods.dual_teacher.teacher.model import TeacherModel, TeacherNetwork
from orchestrator.methods.dual_teacher.teacher.prototypes import PrototypeMemory, select_prototype
from orchestrator.methods.dual_teacher.teacher.refinement import (
    Head,
)
from orchestrator.methods.dual_teacher.teacher.statistics import (
    ClassStatistics,
    carry,
    no_classes,
)
from orchestrator.methods.features.drift import drift_between
from orchestrator.methods.features.extractor import fine_tune_extractor, pretrain_extractor
from orchestrator.methods.views import (
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


def learn_teacher_task(
    previous: TeacherModel | None,
    data: LabeledImages,
    config: TeacherConfig,
    context: LearningContext,
    views: Sequence[Views] | None = None,
) -> TeacherModel:
    """Train the teacher on the classes of one task.

    Args:
        previous: The teacher of the previous task, not modified; None for the first task.
        data: The new classes' training images.
        config: The teacher's configuration.
        context: Seed, device, image augmentation, listener for epoch reports.
        views: The extractor's features of each new class's images, or None if they must still be
            computed.
    """
    network, known = _start(previous, data, config, context)
    known = _train_extractor(network.extractor, known, previous, data, config, context)
    if views is None:
        features = features_by_class(network.extractor, data, config.num_views, context)
    else:
        features = [of_class.normalized() for of_class in views]
    features = Agreement(config, network.extractor.groups).weighted(
        known, features, context.stream("agreement")
    )
    basis = (
        previous.space.basis
        if previous
        else _first_basis(network.extractor, with_classes(known, features, config), config)
    )
    learned = learn_head(
        Head(network.embedding, network.classifier), known, features, basis, (config, context)
    )
    head = learned.head
    taught = Network(network.extractor, head.embedding, head.classifier).eval()
    memory = _update_memory(previous, taught, data, features, learned.statistics)
    return TeacherModel(
        taught, memory, learned.space, learned.vectors, learned.strength, _doubted_share(features)
    )


def _start(
    previous: TeacherModel | None,
    data: LabeledImages,
    config: TeacherConfig,
    context: LearningContext,
) -> tuple[TeacherNetwork, ClassStatistics]:
    """Return the network to start from, and the statistics of the classes so far."""
    if previous is not None:
        return copy.deepcopy(previous.network).to(context.device), previous.memory.statistics
    with seeded_initialisation(context.seed_of("network")):
        extractor = build_backbone(config.backbone, data.shape)
        dimensions = config.joint_embedding.dimensions_for(extractor.num_features)
        embedding = WhitenedEmbedding(
            extractor.num_features,
            dimensions,
            config.joint_embedding.adapter_width,
            extractor.groups,
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


def _doubted_share(features: Sequence[ClassFeatures]) -> float:
    """Return the mean over all images of 1 - trust, the probability that the label is wrong."""
    return 1 - float(torch.cat([of_class.trust() for of_class in features]).mean())


def _labels(data: LabeledImages) -> list[int]:
    return [int(label) for label in data.labels.unique()]


def _first_basis(extractor: Backbone, statistics: ClassStatistics, config: TeacherConfig) -> Tensor:
    dimensions = config.joint_embedding.dimensions_for(extractor.num_features)
    return principal_basis(statistics.covariance, dimensions, extractor.groups)


def _update_memory(
    previous: TeacherModel | None,
    network: TeacherNetwork,
    data: LabeledImages,
    features: Sequence[ClassFeatures],
    statistics: ClassStatistics,
) -> PrototypeMemory:
    """Return the memory with the prototypes of the new classes added (step 6). The next task reads
    these prototypes in step 1.
    """
    exemplars = [previous.memory.exemplars] if previous else []
    for label, of_class in zip(_labels(data), features, strict=True):
        with torch.no_grad():
            embedded = network.embedding.embed_normalized(of_class.clean)
            chosen = select_prototype(embedded, of_class.trust())
        exemplars.append(data.images[data.labels == label][chosen : chosen + 1])
    return PrototypeMemory(torch.cat(exemplars), statistics)
