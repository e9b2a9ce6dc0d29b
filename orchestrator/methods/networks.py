"""Methods that train a whole network, or a softmax regression on a pre-trained network's
features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.config.training import TrainingConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.artifacts import network_tensors, rebuilt_network
from orchestrator.methods.facts import STAGE_FORMATS, is_pretrained
from orchestrator.methods.features.extractor import new_extractor
from orchestrator.methods.heads import HeadInputs, linear_head, projection_head
from orchestrator.methods.method import ArtifactContext, LearningInputs, Model, NetworkModel
from orchestrator.methods.views import Views
from orchestrator.models import (
    AnyNetwork,
    CosineClassifier,
    LinearClassifier,
    Network,
    PowerNormalization,
    ProjectionEmbedding,
    build_backbone,
)
from orchestrator.models.artifact import Artifact
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation

LogitsLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Function that returns the loss, given the logits, the network's inputs and the labels."""


class TrainedNetwork:
    """Train extractor, embedding module and classifier on a task's images, starting from the
    previous task's network or from scratch.

    Subclasses define the loss of a batch (`loss`). Where the teacher's extractor is pre-trained,
    only a softmax regression on its features is trained.
    """

    formats = STAGE_FORMATS
    student_builds_on_teacher = False
    learns_from_all_images = False

    def loss(self, experiment: Experiment, before: Callable[[Tensor], Tensor] | None) -> LogitsLoss:
        """Return the loss of a batch.

        Args:
            experiment: The configuration.
            before: Function that computes the logits of the previous task's model for the network's
                inputs; None in the first task.
        """
        return lambda logits, _, labels: functional.cross_entropy(logits, labels)

    def configuration_paths(
        self, role: Role, is_first_task: bool, experiment: Experiment
    ) -> Sequence[str]:
        """Return the configuration paths that training reads. For a new network, they include the
        paths that determine its layers and sizes.
        """
        if is_pretrained(role, experiment):
            backbone = ("teacher.backbone", "teacher.extractor", "teacher.num_views")
            return (*backbone, "teacher.training")
        if is_first_task:
            shape = (f"{role}.backbone", "teacher.joint_embedding.dimensions")
            return (f"{role}.training", *shape)
        return (f"{role}.training",)

    def num_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the number of epochs of the role's training."""
        return _training_of(role, experiment).epochs

    def learn(self, inputs: LearningInputs, context: LearningContext) -> Model:
        """Train on the task's images."""
        if inputs.views is None:
            return NetworkModel(self._train_network(inputs, context))
        return NetworkModel(self._train_classifier(inputs, inputs.views, context))

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return an untrained projection and an untrained cosine classifier. If the role's
        extractor is pre-trained, return power normalisation and an untrained linear classifier
        instead.
        """
        extractor, num_classes = inputs.extractor, inputs.num_classes
        if is_pretrained(inputs.role, inputs.experiment):
            return linear_head(extractor, num_classes)
        dimensions = inputs.experiment.teacher.joint_embedding.dimensions_for(
            extractor.num_features
        )
        return projection_head(extractor, dimensions, num_classes)

    def to_artifact(self, model: Model) -> Artifact:
        """Return the network as an artifact."""
        return Artifact(network_tensors(model.network))

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild the network from an artifact."""
        return NetworkModel(rebuilt_network(artifact.tensors, context))

    def _train_network(self, inputs: LearningInputs, context: LearningContext) -> AnyNetwork:
        data, training = inputs.data, _training_of(inputs.role, inputs.experiment)
        previous = inputs.previous
        network: AnyNetwork = (
            copy.deepcopy(previous.network) if previous else _new_network(inputs, context)
        )
        _grow(network.classifier, int(data.labels.max()) + 1, context)
        network.to(context.device).train()
        before = previous.network.to(context.device).eval() if previous else None
        judged = self.loss(inputs.experiment, before and (lambda images: before(images).logits))

        def loss(rows: Tensor, step: Step) -> LossOutput:
            images = context.vary(
                data.images.index_select(0, rows), context.stream_of_rank("views", step.index)
            )
            labels = data.labels[rows].to(context.device)
            return LossOutput(judged(network(images).logits, images, labels))

        train(
            inputs.experiment.method.kind,
            [network],
            _batches(data, training, context),
            loss,
            training,
            context,
        )
        return network

    def _train_classifier(
        self, inputs: LearningInputs, views: Sequence[Views], context: LearningContext
    ) -> AnyNetwork:
        """Train a softmax regression on power-normalised features. The features are scaled to a
        magnitude of about 1: learning rates chosen for networks then suit the regression.
        """
        data, training = inputs.data, _training_of(inputs.role, inputs.experiment)
        previous = inputs.previous
        extractor = previous.network.extractor if previous else new_extractor(inputs, context)
        scale = extractor.num_features**0.5
        known: LinearClassifier | None = previous.network.classifier if previous else None
        classifier = _grown_regression(known, int(data.labels.max()) + 1, scale, context)
        features = scale * torch.cat([it.normalized().all_views() for it in views], dim=1)
        judged = self.loss(
            inputs.experiment, known and (lambda scaled: known.to(context.device)(scaled / scale))
        )

        def loss(rows: Tensor, step: Step) -> LossOutput:
            drawn = torch.randint(
                len(features), rows.shape, generator=context.stream_of_rank("views", step.index)
            )
            chosen = features[drawn.to(context.device), rows.to(context.device)]
            labels = data.labels[rows].to(context.device)
            return LossOutput(judged(classifier(chosen), chosen, labels))

        train(
            inputs.experiment.method.kind,
            [classifier],
            _batches(data, training, context),
            loss,
            training,
            context,
        )
        learned = LinearClassifier(scale * classifier.weight.detach().T, classifier.bias.detach())
        return Network(extractor, PowerNormalization(extractor.groups), learned)


def _training_of(role: Role, experiment: Experiment) -> TrainingConfig:
    return experiment.teacher.training if role == "teacher" else experiment.student.training


def _batches(
    data: LabeledImages, training: TrainingConfig, context: LearningContext
) -> BalancedBatches:
    return BalancedBatches(data.labels, training.batch_size, partial(context.stream, "batches"))


def _new_network(
    inputs: LearningInputs, context: LearningContext
) -> Network[ProjectionEmbedding, CosineClassifier]:
    experiment = inputs.experiment
    with seeded_initialisation(context.seed_of("network")):
        extractor = build_backbone(experiment.backbone_of(inputs.role), inputs.data.shape)
        dimensions = experiment.teacher.joint_embedding.dimensions_for(extractor.num_features)
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


def _grown_regression(
    known: LinearClassifier | None, num_classes: int, scale: float, context: LearningContext
) -> nn.Linear:
    num_features = int(scale**2 + 0.5)
    classifier = nn.Linear(num_features, num_classes, device=context.device)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    if known is not None:
        with torch.no_grad():
            classifier.weight[: known.num_classes] = known.weights.T / scale
            classifier.bias[: known.num_classes] = known.biases
    return classifier
