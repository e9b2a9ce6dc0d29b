"""One task of a comparison method.

Each method runs twice: on the teacher's backbone, reported as the teacher, and on the student's, reported as the student,
without any distillation. So both sizes of network get their bounds.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from orchestrator.baselines.closed_form import FeatureMoments, nearest_mean_classifier, no_moments, ridge_classifier
from orchestrator.config.learning import (
    AnalyticConfig,
    BackboneConfig,
    FinetuningConfig,
    JointConfig,
    NearestClassMeanConfig,
    TrainingConfig,
)
from orchestrator.config.teacher import TeacherConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.scenario import LabeledImages
from orchestrator.models import AnyNetwork, CosineClassifier, Network, PowerNormalization, ProjectionEmbedding, build_backbone
from orchestrator.teacher.extractor import pretrain_extractor
from orchestrator.teacher.features import features_by_class
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
    previous: BaselineModel | None, data: LabeledImages, setting: BaselineSetting, context: LearningContext
) -> BaselineModel:
    """Learns one task.

    Args:
        previous: The model of the task before; None for the first task. It is left as it is.
        data: Training images: of the new classes, or of all classes so far for `joint`.
        setting: Method, backbone and budget.
        context: Seed, device, image augmentation, reporter.
    """
    match setting.method:
        case FinetuningConfig():
            return _train_network(previous, data, setting, context)
        case JointConfig():
            return _train_network(None, data, setting, context)
        case NearestClassMeanConfig() | AnalyticConfig():
            return _update_moments(previous, data, setting, context)
        case _:
            assert_never(setting.method)


def _train_network(
    previous: BaselineModel | None, data: LabeledImages, setting: BaselineSetting, context: LearningContext
) -> BaselineModel:
    network: AnyNetwork = copy.deepcopy(previous.network) if previous else _new_network(data, setting, context)
    _grow(network.classifier, int(data.labels.max()) + 1, context)
    network.to(context.device).train()

    def loss(rows: Tensor, step: Step) -> LossOutput:
        images = context.vary(data.images[rows], context.stream_of_rank("views", step.index))
        return LossOutput(functional.cross_entropy(network(images).logits, data.labels[rows].to(context.device)))

    batches = BalancedBatches(data.labels, setting.training.batch_size, partial(context.stream, "batches"))
    train(setting.method.kind, [network], batches, loss, setting.training, context)
    return BaselineModel(network, None)


def _update_moments(
    previous: BaselineModel | None, data: LabeledImages, setting: BaselineSetting, context: LearningContext
) -> BaselineModel:
    if previous is None or previous.moments is None:
        with seeded_initialisation(context.seed_of("network")):
            extractor = build_backbone(setting.backbone, data.shape).to(context.device)
        pretrain_extractor(extractor, data, setting.teacher, context)
        moments = no_moments(extractor.num_features, context.device)
    else:
        extractor, moments = previous.network.extractor, previous.moments
    for of_class in features_by_class(extractor, data, setting.teacher.num_views, context):
        moments = moments.with_class(of_class.all_views())
    if isinstance(setting.method, AnalyticConfig):
        classifier = ridge_classifier(moments, setting.method.ridge)
    else:
        classifier = nearest_mean_classifier(moments)
    return BaselineModel(Network(extractor, PowerNormalization(), classifier), moments)


def _new_network(data: LabeledImages, setting: BaselineSetting, context: LearningContext) -> Network[ProjectionEmbedding, CosineClassifier]:
    dimensions = setting.teacher.joint_embedding.dimensions
    with seeded_initialisation(context.seed_of("network")):
        extractor = build_backbone(setting.backbone, data.shape)
        return Network(extractor, ProjectionEmbedding(extractor.num_features, dimensions), CosineClassifier(dimensions))


def _grow(classifier: CosineClassifier, num_classes: int, context: LearningContext) -> None:
    directions = torch.randn(num_classes, classifier.anchors.shape[1], generator=context.stream("class directions"))
    directions = directions.to(classifier.anchors.device)
    directions[: classifier.num_classes] = classifier.anchors
    classifier.anchor(directions)
