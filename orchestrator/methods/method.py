"""The protocol of a method, and the function that returns an experiment's method.

Modules outside `methods` and `config` refer to no particular method. Stages, planning, retraining
and evaluation pass their configuration to `method_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import torch

from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import Extension
from orchestrator.config.roles import Role
from orchestrator.data.labeled_images import LabeledImages, UnlabeledImages
from orchestrator.methods.facts import MethodFacts, facts_of
from orchestrator.methods.views import Views
from orchestrator.models import AnyNetwork
from orchestrator.models.artifact import Artifact
from orchestrator.training.context import LearningContext


@runtime_checkable
class Model(Protocol):
    """A method's model after a task."""

    @property
    def network(self) -> AnyNetwork:
        """Return extractor, embedding module and classifier, the parts that predict."""
        ...

    @property
    def details(self) -> Mapping[str, float]:
        """Return values that this method reports in the summary, such as a chosen ridge strength.
        Most methods report none.
        """
        ...


@dataclass(frozen=True)
class NetworkModel:
    """A model that consists only of its network.

    Attributes:
        network: Extractor, embedding module, classifier.
        details: Values that the method reports in the summary, such as a chosen ridge strength.
    """

    network: AnyNetwork
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LearningInputs:
    """All inputs from which a method learns one task, except the seed, which is part of
    `LearningContext`.

    Attributes:
        role: Role of the model to learn.
        data: The training images of the classes that `facts.classes_learned` returns.
        experiment: The configuration. Only the paths that `Method.configuration_paths` returns may
            be read.
        previous: The same role's model of the previous task; None in the first task, and for a
            method that starts every task from scratch.
        teacher: The teacher of the same task, for a student that builds on it.
        views: Features of each class's images from the pre-trained teacher's extractor; None
            without such an extractor. A method that gets views must learn from them.
        unlabeled: Images without labels, of any classes, the same in every task; None if the
            experiment has none, and for a method that does not learn from them.
        unlabeled_views: Features of these images without labels from the pre-trained teacher's
            extractor, without augmented copies. The features are split into parts, in the order of
            the images. None if there is no such extractor or `unlabeled` is None.
    """

    role: Role
    data: LabeledImages
    experiment: Experiment
    previous: Model | None = None
    teacher: Model | None = None
    views: Sequence[Views] | None = None
    unlabeled: UnlabeledImages | None = None
    unlabeled_views: Sequence[Views] | None = None


@dataclass(frozen=True)
class ArtifactContext:
    """The context in which a model is rebuilt from its artifact.

    Attributes:
        role: Role of the model.
        experiment: A configuration with the settings from which the artifact's stage was computed.
            Settings that this stage does not read may differ.
        shape: (channels, height, width) of the images.
        device: Device of the network.
    """

    role: Role
    experiment: Experiment
    shape: tuple[int, int, int]
    device: torch.device


@runtime_checkable
class Method(MethodFacts, Protocol):
    """A way to learn classes task by task, for both roles.

    Every method runs twice: on the teacher's backbone, reported as the teacher, and on the
    student's backbone, reported as the student. In a method that distils, the student learns from
    the teacher.
    """

    def learn(self, inputs: LearningInputs, context: LearningContext) -> Model:
        """Learn one task.

        The same inputs, seed and kind of machine must give the same model.

        Raises:
            UserInputError: Learning is impossible with this configuration.
        """
        ...

    def to_artifact(self, model: Model) -> Artifact:
        """Return all parts of a model that a later stage or a user needs, as tensors and values.

        The weights of the extractor are named `network.extractor.…`. If the extractor is
        pre-trained, the tensors with these names are not stored.
        """
        ...

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild a model from its artifact, bit for bit."""
        ...


def method_of(experiment: Experiment) -> Method:
    """Return the method that an experiment's configuration chooses.

    A built-in method is the object METHOD of the module that is named after the method's kind. Any
    other method comes from an installed distribution (see `config.extensions`).

    Raises:
        ConfigError: The extension cannot be loaded, or lacks a part of the protocol.
    """
    if isinstance(experiment.method, Extension):
        found: Any = facts_of(experiment)
    else:
        found = import_module(f"orchestrator.methods.{experiment.method.kind}").METHOD
    method: Method = found
    return method
