"""Methods that compute their classifier in closed form from the features of a frozen extractor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.methods.artifacts import (
    network_tensors,
    rebuilt_network,
    tensors_of,
    unprefixed,
)
from orchestrator.methods.facts import PRETRAINING_PATHS, STAGE_FORMATS, is_pretrained
from orchestrator.methods.features.extractor import (
    new_extractor,
    pretrain_extractor,
)
from orchestrator.methods.features.moments import FeatureMoments, no_moments
from orchestrator.methods.heads import HeadInputs, linear_head
from orchestrator.methods.method import ArtifactContext, LearningInputs, Model
from orchestrator.methods.views import ClassFeatures, features_by_class
from orchestrator.models import AnyNetwork, Backbone, LinearClassifier, Network, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.training.context import LearningContext


@dataclass(frozen=True)
class MomentsModel:
    """A network, with the sums of features from which its classifier was computed.

    Attributes:
        network: Extractor, embedding module, classifier.
        moments: Sums over all features so far.
        details: Values that the method reports in the summary, such as a chosen ridge strength.
    """

    network: AnyNetwork
    moments: FeatureMoments
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Extracted:
    """The features of a task's images.

    Attributes:
        extractor: The extractor that computed the features.
        features: Power-normalised features of each new class.
    """

    extractor: Backbone
    features: Sequence[ClassFeatures]


class FrozenFeatures(ABC):
    """Learn from the features of an extractor that is trained in the first task only, or never.

    Subclasses define what is learned from a task's features, and how a model is stored.
    """

    formats = STAGE_FORMATS
    student_builds_on_teacher = False
    learns_from_all_images = False
    uses_views: ClassVar[bool] = True
    """True if the method also learns from augmented views of the images."""

    @abstractmethod
    def learn_features(
        self, found: Extracted, inputs: LearningInputs, context: LearningContext
    ) -> Model:
        """Learn one task from power-normalised features of its classes.

        Args:
            found: The features, and the extractor that computed them.
            inputs: Further inputs: the previous model, the configuration.
            context: Seed, device.
        """

    def configuration_paths(
        self, role: Role, is_first_task: bool, experiment: Experiment
    ) -> Sequence[str]:
        """Return the configuration paths that the features depend on."""
        views = ("teacher.num_views",) if self.uses_views else ()
        if is_pretrained(role, experiment):
            return ("teacher.backbone", "teacher.extractor", *views)
        if is_first_task:
            return (*views, f"{role}.backbone", *PRETRAINING_PATHS)
        return views

    def num_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the number of epochs that train the extractor. The number is 0 after the first
        task, and for a pre-trained extractor.
        """
        is_trained = is_first_task and not is_pretrained(role, experiment)
        return experiment.teacher.training.epochs if is_trained else 0

    def learn(self, inputs: LearningInputs, context: LearningContext) -> Model:
        """Extract features of the new classes and learn from them."""
        teacher = inputs.experiment.teacher
        if inputs.previous is not None:
            extractor: Backbone = inputs.previous.network.extractor
        else:
            extractor = new_extractor(inputs, context)
            if inputs.views is None:
                pretrain_extractor(extractor, inputs.data, teacher, context)
        if inputs.views is None:
            num_views = teacher.num_views if self.uses_views else 0
            features = features_by_class(extractor, inputs.data, num_views, context)
        else:
            features = [of_class.normalized() for of_class in inputs.views]
        return self.learn_features(Extracted(extractor, features), inputs, context)

    @abstractmethod
    def to_artifact(self, model: Model) -> Artifact:
        """Return the network, and all other data that the model keeps about the classes, as an
        artifact.
        """

    @abstractmethod
    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild a model from its artifact."""


class ClosedForm(FrozenFeatures):
    """Compute a linear classifier from sums over all features so far."""

    @abstractmethod
    def classifier(self, moments: FeatureMoments, experiment: Experiment) -> LinearClassifier:
        """Return the classifier of all classes so far."""

    def learn_features(
        self, found: Extracted, inputs: LearningInputs, context: LearningContext
    ) -> Model:
        """Add the features of the new classes to the sums, and solve for the classifier."""
        if isinstance(inputs.previous, MomentsModel):
            moments = inputs.previous.moments
        else:
            moments = no_moments(found.extractor.num_features, context.device)
        for of_class in found.features:
            moments = moments.with_class(of_class.all_views())
        classifier = self.classifier(moments, inputs.experiment)
        normalization = PowerNormalization(found.extractor.groups)
        return MomentsModel(Network(found.extractor, normalization, classifier), moments)

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return power normalisation, and an untrained linear classifier of the normalised
        features.
        """
        return linear_head(inputs.extractor, inputs.num_classes)

    def to_artifact(self, model: Model) -> Artifact:
        """Return the network, and the sums over features, as an artifact."""
        assert isinstance(model, MomentsModel)  # noqa: S101 - for the type checker
        return Artifact(network_tensors(model.network) | tensors_of("moments", model.moments))

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild the network, and the sums over features, from an artifact."""
        network = rebuilt_network(artifact.tensors, context)
        return MomentsModel(network, stored_moments(artifact, context))


def stored_moments(artifact: Artifact, context: ArtifactContext) -> FeatureMoments:
    """Return the sums over features that an artifact stores, on the context's device."""
    moments = unprefixed("moments", artifact.tensors)
    return FeatureMoments(**{name: tensor.to(context.device) for name, tensor in moments.items()})
