"""The protocol of a method, and functions that answer questions about an experiment's method.

Nothing outside `methods` and `config` names a method. Stages, planning, retraining and evaluation
hold a configuration and ask `method_of` for the method behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import Extension, load_extension
from orchestrator.config.features import StageFeaturesConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.teacher import PretrainedExtractorConfig
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario import Task
from orchestrator.data.unlabeled import UnlabeledImages
from orchestrator.errors import ConfigError
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
        """Return further figures about the learning, for the summary; mostly none."""
        ...


@dataclass(frozen=True)
class NetworkModel:
    """A model that consists only of its network.

    Attributes:
        network: Extractor, embedding module, classifier.
        details: Further figures about the learning.
    """

    network: AnyNetwork
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LearningInputs:
    """All inputs from which a method learns one task, except the seed in its context.

    Attributes:
        role: Role of the model to learn.
        data: The training images of the classes that `Method.classes_learned` names.
        experiment: The configuration; only what `Method.configuration_paths` names may be read.
        previous: The same role's model of the previous task; None in the first task, and for a
            method that starts every task from scratch.
        teacher: The teacher of the same task, for a student that builds on it.
        views: Features of each class's images from the pre-trained teacher's extractor; None
            without such an extractor. A method that gets views must learn from them.
        unlabeled: Images without labels, of any classes, the same in every task; None if the
            experiment has none, and for a method that does not learn from them.
        unlabeled_views: Features of these images from the pre-trained teacher's extractor, part by
            part in their order, without augmented copies. None as `views` and `unlabeled`.
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
        experiment: The configuration that the stage's key identifies.
        shape: (channels, height, width) of the images.
        device: Device of the network.
    """

    role: Role
    experiment: Experiment
    shape: tuple[int, int, int]
    device: torch.device


@runtime_checkable
class Method(Protocol):
    """A way to learn classes task by task, for both roles.

    Every method runs twice: on the teacher's backbone, reported as the teacher, and on the
    student's, reported as the student. A method that distils builds its student on the teacher.
    """

    formats: ClassVar[Mapping[Role, int]]
    """Format number of each role's stages, part of their keys. Raise it when the code changes what
    it computes or stores, so that existing stages are recomputed."""

    student_builds_on_teacher: ClassVar[bool]
    """Whether the student of a task waits for the teacher of that task and reads it."""

    learns_from_all_images: ClassVar[bool]
    """Whether every task starts from scratch on the images of all seen classes."""

    def configuration_paths(
        self, role: Role, is_first_task: bool, experiment: Experiment
    ) -> Sequence[str]:
        """Return the dotted paths that a stage reads, besides `method` and the image augmentation.

        The paths are part of the stage's key: a path that is read but not listed gives stale
        results, one that is listed but not read causes recomputation.
        """
        ...

    def num_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the number of epochs of a stage over all its phases; 0 for a closed form."""
        ...

    def learn(self, inputs: LearningInputs, context: LearningContext) -> Model:
        """Learn one task.

        The same inputs, seed and kind of machine must give the same model.

        Raises:
            UserInputError: Learning is impossible with this configuration.
        """
        ...

    def to_artifact(self, model: Model) -> Artifact:
        """Return all parts of a model that a later stage or a user needs, as tensors and values.

        The weights of the extractor are named `network.extractor.…`: those of a pre-trained
        extractor are not stored again.
        """
        ...

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild a model from its artifact, bit for bit."""
        ...


@runtime_checkable
class LearnsFromUnlabeled(Protocol):
    """Extension of `Method` for methods that learn from images without labels."""

    def learns_from_unlabeled_images(self, role: Role, experiment: Experiment) -> bool:
        """Return whether a role's stages read `LearningInputs.unlabeled`: these images are then
        part of their key.
        """
        ...


def classes_learned(method: Method, task: Task) -> range:
    """Return the classes whose training images a stage reads, as positions in the class order."""
    return range(task.num_seen_classes) if method.learns_from_all_images else task.new_classes


def learns_from_unlabeled(role: Role, experiment: Experiment) -> bool:
    """Return whether a role's stages learn from images without labels, if there are any."""
    method = method_of(experiment)
    return isinstance(method, LearnsFromUnlabeled) and method.learns_from_unlabeled_images(
        role, experiment
    )


def uses_unlabeled_images(experiment: Experiment) -> bool:
    """Return whether the experiment has images without labels, and any stage learns from them."""
    if experiment.data.unlabeled is None:
        return False
    return any(learns_from_unlabeled(role, experiment) for role in ROLES)


def is_pretrained(role: Role, experiment: Experiment) -> bool:
    """Return whether a role's features of an image are the same in every task.

    Such features are computed once and passed as `LearningInputs.views`.
    """
    return role == "teacher" and isinstance(experiment.teacher.extractor, PretrainedExtractorConfig)


def is_taught(experiment: Experiment) -> bool:
    """Return whether a student's inherited layers learn from the teacher's embedding."""
    student = experiment.student
    return inherits(experiment) and student.teaching is not None and student.embedding_weight > 0


def inherits(experiment: Experiment) -> bool:
    """Return whether the student keeps the teacher's first stages unchanged after the first task:
    its features of an image are then the same in every task.
    """
    is_inherited = isinstance(experiment.student.backbone, InheritedBackboneConfig)
    return is_inherited and method_of(experiment).student_builds_on_teacher


def is_judged_by_tables(role: Role, experiment: Experiment) -> bool:
    """Return whether a role's models are evaluated on features from feature tables.

    The features of a student that inherits the first stages of a pre-trained teacher are the
    first columns of the teacher's features.
    """
    if role == "teacher" or not method_of(experiment).student_builds_on_teacher:
        return is_pretrained(role, experiment)
    if not inherits(experiment) or is_taught(experiment):
        return False
    reports_stages = isinstance(experiment.teacher.backbone.features, StageFeaturesConfig)
    return reports_stages and is_pretrained("teacher", experiment)


_OF_EXTENSIONS = (
    "student_builds_on_teacher",
    "learns_from_all_images",
    "configuration_paths",
    "num_epochs",
    "learn",
    "to_artifact",
    "from_artifact",
)


def method_of(experiment: Experiment) -> Method:
    """Return the method that an experiment's configuration chooses.

    A built-in method is the object METHOD of the module named like its kind; any other comes
    from an installed distribution (see `config.extensions`).

    Raises:
        ConfigError: The extension cannot be loaded, or lacks a part of the protocol.
    """
    if isinstance(experiment.method, Extension):
        found: Any = load_extension(experiment.method)
        if missing := [name for name in _OF_EXTENSIONS if not hasattr(found, name)]:
            raise ConfigError(
                f"the method {experiment.method.kind!r} has no {', '.join(missing)}",
                "method.kind",
                "update or uninstall the package that offers it",
            )
    else:
        found = import_module(f"orchestrator.methods.{experiment.method.kind}").METHOD
    method: Method = found
    return method


STAGE_FORMATS: Mapping[Role, int] = {"teacher": 11, "student": 9}
"""Format numbers of the built-in methods' stages. Raising one recomputes the stages of all methods,
because they share extractors, epoch loop and closed forms."""
