"""One task of a comparison method.

Each method runs twice: on the teacher's backbone, reported as the teacher, and on the student's,
reported as the student, without any distillation. So both sizes of network get their bounds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.backbones import BackboneConfig
from orchestrator.config.methods import (
    AnalyticConfig,
    FinetuningConfig,
    JointConfig,
    NearestClassMeanConfig,
)
from orchestrator.config.teacher import TeacherConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.features.extractor import pretrain_extractor
from orchestrator.methods.features.moments import (
    FeatureMoments,
    nearest_mean_classifier,
    no_moments,
    ridge_classifier,
)
from orchestrator.methods.features.views import Views, features_by_class
from orchestrator.models import (
    AnyNetwork,
    Backbone,
    CosineClassifier,
    LinearClassifier,
    Network,
    PowerNormalization,
    ProjectionEmbedding,
    build_backbone,
)
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation

BaselineConfig = FinetuningConfig | NearestClassMeanConfig | AnalyticConfig | JointConfig


@dataclass(frozen=True)
class BaselineModel:
    """A comparison method after a task.

    Attributes:
        network: Extractor, embedding module, classifier.
        moments: Of all features so far; None for the methods that train.
    """

    network: AnyNetwork
    moments: FeatureMoments | None


@dataclass(frozen=True)
class BaselineSetting:
    """What a comparison method shares with the project's own.

    Attributes:
        method: Which one.
        backbone: The teacher's or the student's.
        training: The budget of the same lane.
        teacher: For the first task's extractor, and the number of views.
    """

    method: BaselineConfig
    backbone: BackboneConfig
    training: TrainingConfig
    teacher: TeacherConfig


def learn_baseline_task(
    previous: BaselineModel | None,
    data: LabeledImages,
    setting: BaselineSetting,
    context: LearningContext,
    views: Sequence[Views] | None = None,
) -> BaselineModel:
    """Learns one task.

    Args:
        previous: The model of the task before; None for the first task. It is left as it is.
        data: Training images: of the new classes, or of all classes so far for `joint`.
        setting: Method, backbone and budget.
        context: Seed, device, image augmentation, reporter.
        views: What a pre-trained extractor makes of each class's images; only what comes behind it
            is then learned.
    """
    match setting.method:
        case FinetuningConfig() | JointConfig():
            start = None if isinstance(setting.method, JointConfig) else previous
            if views is None:
                return _train_network(start, data, setting, context)
            return _train_classifier(start, data, views, setting, context)
        case NearestClassMeanConfig() | AnalyticConfig():
            return _update_moments(previous, data, setting, context, views)
        case _:
            assert_never(setting.method)


def _train_network(
    previous: BaselineModel | None,
    data: LabeledImages,
    setting: BaselineSetting,
    context: LearningContext,
) -> BaselineModel:
    network: AnyNetwork = (
        copy.deepcopy(previous.network) if previous else _new_network(data, setting, context)
    )
    _grow(network.classifier, int(data.labels.max()) + 1, context)
    network.to(context.device).train()

    def loss(rows: Tensor, step: Step) -> LossOutput:
        images = context.vary(
            data.images.index_select(0, rows), context.stream_of_rank("views", step.index)
        )
        return LossOutput(
            functional.cross_entropy(network(images).logits, data.labels[rows].to(context.device))
        )

    batches = BalancedBatches(
        data.labels, setting.training.batch_size, partial(context.stream, "batches")
    )
    train(setting.method.kind, [network], batches, loss, setting.training, context)
    return BaselineModel(network, None)


def _train_classifier(
    previous: BaselineModel | None,
    data: LabeledImages,
    views: Sequence[Views],
    setting: BaselineSetting,
    context: LearningContext,
) -> BaselineModel:
    """Softmax regression on power-normalised features, each brought to about 1 so that the learning
    rates of networks fit.
    """
    extractor = previous.network.extractor if previous else _new_extractor(data, setting, context)
    num_classes, scale = int(data.labels.max()) + 1, extractor.num_features**0.5
    classifier = nn.Linear(extractor.num_features, num_classes, device=context.device)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    if previous:
        known = previous.network.classifier
        with torch.no_grad():
            classifier.weight[: known.num_classes] = known.weights.T / scale
            classifier.bias[: known.num_classes] = known.biases
    features = scale * torch.cat([of_class.normalized().all_views() for of_class in views], dim=1)

    def loss(rows: Tensor, step: Step) -> LossOutput:
        drawn = torch.randint(
            len(features), rows.shape, generator=context.stream_of_rank("views", step.index)
        )
        logits = classifier(features[drawn.to(context.device), rows.to(context.device)])
        return LossOutput(functional.cross_entropy(logits, data.labels[rows].to(context.device)))

    batches = BalancedBatches(
        data.labels, setting.training.batch_size, partial(context.stream, "batches")
    )
    train(setting.method.kind, [classifier], batches, loss, setting.training, context)
    learned = LinearClassifier(scale * classifier.weight.detach().T, classifier.bias.detach())
    return BaselineModel(Network(extractor, PowerNormalization(), learned), None)


def _update_moments(
    previous: BaselineModel | None,
    data: LabeledImages,
    setting: BaselineSetting,
    context: LearningContext,
    views: Sequence[Views] | None,
) -> BaselineModel:
    if previous is None or previous.moments is None:
        extractor = _new_extractor(data, setting, context)
        if views is None:
            pretrain_extractor(extractor, data, setting.teacher, context)
        moments = no_moments(extractor.num_features, context.device)
    else:
        extractor, moments = previous.network.extractor, previous.moments
    if views is None:
        features = features_by_class(extractor, data, setting.teacher.num_views, context)
    else:
        features = [of_class.normalized() for of_class in views]
    for of_class in features:
        moments = moments.with_class(of_class.all_views())
    if isinstance(setting.method, AnalyticConfig):
        classifier = ridge_classifier(moments, setting.method.ridge)
    else:
        classifier = nearest_mean_classifier(moments)
    return BaselineModel(Network(extractor, PowerNormalization(), classifier), moments)


def _new_extractor(
    data: LabeledImages, setting: BaselineSetting, context: LearningContext
) -> Backbone:
    with seeded_initialisation(context.seed_of("network")):
        return build_backbone(setting.backbone, data.shape).to(context.device)


def _new_network(
    data: LabeledImages, setting: BaselineSetting, context: LearningContext
) -> Network[ProjectionEmbedding, CosineClassifier]:
    dimensions = setting.teacher.joint_embedding.dimensions
    with seeded_initialisation(context.seed_of("network")):
        extractor = build_backbone(setting.backbone, data.shape)
        return Network(
            extractor,
            ProjectionEmbedding(extractor.num_features, dimensions),
            CosineClassifier(dimensions),
        )


def _grow(classifier: CosineClassifier, num_classes: int, context: LearningContext) -> None:
    directions = torch.randn(
        num_classes, classifier.anchors.shape[1], generator=context.stream("class directions")
    )
    directions = functional.normalize(directions, dim=1).to(classifier.anchors.device)
    directions[: classifier.num_classes] = classifier.anchors
    classifier.anchor(directions)
