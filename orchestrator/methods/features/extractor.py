"""Train the feature extractor: in the first task, and in later tasks only if the configuration
selects fine-tuning (patent A, paragraph 67; see docs/method.md).
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.teacher import FineTunedExtractorConfig, TeacherConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.data.augmentation import quarter_turns
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.method import LearningInputs
from orchestrator.models import Backbone, PowerNormalization, build_backbone
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import Loss, LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation


def new_extractor(inputs: LearningInputs, context: LearningContext) -> Backbone:
    """Build the extractor of a role, with random or pre-trained weights."""
    backbone = inputs.experiment.backbone_of(inputs.role)
    with seeded_initialisation(context.seed_of("network")):
        return build_backbone(backbone, inputs.data.shape).to(context.device)


def pretrain_extractor(
    extractor: Backbone, data: LabeledImages, config: TeacherConfig, context: LearningContext
) -> None:
    """Train the extractor in place to distinguish the classes of the first task.

    With rotation as self-supervision, every class becomes four classes, one for each quarter turn
    of the image. An extractor that must also recognise the rotation learns features that serve
    later classes.
    """
    turns = 4 if config.self_supervision == "rotation" else 1
    with seeded_initialisation(context.seed_of("extractor head")):
        head = nn.Linear(extractor.num_features, turns * (int(data.labels.max()) + 1)).to(
            context.device
        )

    def loss(rows: Tensor, step: Step) -> LossOutput:
        images = context.vary(
            data.images.index_select(0, rows), context.stream_of_rank("extractor views", step.index)
        )
        targets = data.labels[rows].to(context.device)
        if turns > 1:
            images = quarter_turns(images)
            targets = torch.cat([targets * turns + turn for turn in range(turns)])
        return LossOutput(functional.cross_entropy(head(extractor(images)), targets))

    _train(extractor, head, data, loss, config.training, context)


def fine_tune_extractor(
    extractor: Backbone, data: LabeledImages, config: TeacherConfig, context: LearningContext
) -> None:
    """Train the extractor in place on a later task's images. A distillation loss keeps the new
    features close to the features before the task.
    """
    option = config.extractor
    assert isinstance(option, FineTunedExtractorConfig)  # noqa: S101 - the caller has checked this
    first = int(data.labels.min())
    previous, normalization = (
        copy.deepcopy(extractor),
        PowerNormalization(extractor.groups),
    )
    with seeded_initialisation(context.seed_of("extractor head")):
        head = nn.Linear(extractor.num_features, int(data.labels.max()) + 1 - first).to(
            context.device
        )

    def loss(rows: Tensor, step: Step) -> LossOutput:
        images = context.vary(
            data.images.index_select(0, rows), context.stream_of_rank("extractor views", step.index)
        )
        features = extractor(images)
        with torch.no_grad():
            before = normalization(previous(images))
        distillation = (normalization(features) - before).square().sum(dim=1).mean()
        classification = functional.cross_entropy(
            head(features), data.labels[rows].to(context.device) - first
        )
        return LossOutput(classification + option.distillation_weight * distillation)

    training = config.training.model_copy(
        update={"learning_rate": config.training.learning_rate * option.learning_rate_fraction}
    )
    _train(extractor, head, data, loss, training, context)


def _train(
    extractor: Backbone,
    head: nn.Module,
    data: LabeledImages,
    loss: Loss,
    config: TrainingConfig,
    context: LearningContext,
) -> None:
    extractor.train()
    batches = BalancedBatches(
        data.labels, config.batch_size, partial(context.stream, "extractor batches")
    )
    train("extractor", [extractor, head], batches, loss, config, context)
