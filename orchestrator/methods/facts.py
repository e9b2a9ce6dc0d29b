"""Facts about a method that are known without building its networks. They suffice to compute the
keys of stages, and to estimate the cost of stages.

Importing this module does not import torch. The facts of a method are read from its object METHOD,
which imports torch. A method that is a package may provide its facts as a separate object FACTS,
for which torch is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import Extension, load_extension
from orchestrator.config.features import StageFeaturesConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.teacher import PretrainedExtractorConfig
from orchestrator.data.scenario import Task
from orchestrator.errors import ConfigError

PRETRAINING_PATHS = ("teacher.self_supervision", "teacher.training")
"""Configuration paths that `pretrain_extractor` reads to train an extractor in the first task."""

STAGE_FORMATS: Mapping[Role, int] = {"teacher": 11, "student": 9}
"""Format numbers of the built-in methods' stages. All built-in methods share extractors, epoch loop
and closed forms. Increasing a number therefore recomputes stages of every built-in method.
"""


@runtime_checkable
class MethodFacts(Protocol):
    """The part of `Method` that is known without building networks."""

    formats: ClassVar[Mapping[Role, int]]
    """Format number of each role's stages. It is part of the stages' keys: increase it when a code
    change affects what stages compute or store, so that existing stages are recomputed.
    """

    student_builds_on_teacher: ClassVar[bool]
    """True if the student of a task learns from the teacher of the same task, and so must wait for
    it.
    """

    learns_from_all_images: ClassVar[bool]
    """True if every task starts from scratch, on the images of all seen classes."""

    def configuration_paths(
        self, role: Role, is_first_task: bool, experiment: Experiment
    ) -> Sequence[str]:
        """Return the dotted paths that a stage reads, except `method` and the image augmentation.

        The paths are part of the stage's key. A path that is read but not listed gives stale
        results. A path that is listed but not read causes unnecessary recomputation.
        """
        ...

    def num_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the total number of training epochs in all phases of a stage; 0 if the stage
        trains nothing and computes its models in closed form.
        """
        ...


@runtime_checkable
class LearnsFromUnlabeled(Protocol):
    """Extension of `Method` for methods that learn from images without labels."""

    def learns_from_unlabeled_images(self, role: Role, experiment: Experiment) -> bool:
        """Return whether stages of the given role read `LearningInputs.unlabeled`. If they do, the
        unlabelled images are part of the stages' keys.
        """
        ...


SharedKind = Literal["extraction", "teaching"]
"""Kinds of results that stages share: extracted features (`extraction`), or student layers that
were trained to predict the teacher's features (`teaching`).
"""


@dataclass(frozen=True)
class SharedPasses:
    """Image passes that compute a result shared by several stages. In one pass, a network processes
    one image once.

    Attributes:
        kind: Whether the passes extract features, or train layers.
        network: Role whose extractor processes the images.
        num_image_passes: Number of passes.
        unlabeled: Whether the images are the unlabelled ones, which are the same in all tasks.
        of_views: Whether the images are seeded views: augmented copies that can be drawn again from
            a seed. Mirror images of views are not processed.
    """

    kind: SharedKind
    network: Role
    num_image_passes: int
    unlabeled: bool = False
    of_views: bool = False


@runtime_checkable
class CountsPasses(Protocol):
    """Extension of `Method` for methods whose stages do not simply process every image once per
    epoch. The extension lets `orchestrator plan` estimate the cost of such stages.
    """

    def num_own_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the number of epochs of a stage, without the epochs that compute shared
        results.
        """
        ...

    def passes_per_image(self, role: Role, experiment: Experiment) -> int:
        """Return how many images a stage processes for each training image in an epoch."""
        ...

    def shared_passes(
        self, is_first_task: bool, experiment: Experiment, num_labeled: int, num_unlabeled: int
    ) -> Sequence[SharedPasses]:
        """Return the image passes that compute the results which a student's stage shares with
        other stages. In an image pass, a network processes one image once.
        """
        ...


def classes_learned(method: MethodFacts, task: Task) -> range:
    """Return the classes whose training images a task's stage reads, as positions in the class
    order.
    """
    return range(task.num_seen_classes) if method.learns_from_all_images else task.new_classes


def learns_from_unlabeled(role: Role, experiment: Experiment) -> bool:
    """Return whether a role's stages learn from images without labels, if there are any."""
    method = facts_of(experiment)
    return isinstance(method, LearnsFromUnlabeled) and method.learns_from_unlabeled_images(
        role, experiment
    )


def uses_unlabeled_images(experiment: Experiment) -> bool:
    """Return whether the experiment has images without labels, and any stage learns from them."""
    if experiment.data.unlabeled is None:
        return False
    return any(learns_from_unlabeled(role, experiment) for role in ROLES)


def is_pretrained(role: Role, experiment: Experiment) -> bool:
    """Return whether a role uses a pre-trained extractor, whose features are the same in every
    task.

    Such features are computed once and passed to the method as `LearningInputs.views`.
    """
    return role == "teacher" and isinstance(experiment.teacher.extractor, PretrainedExtractorConfig)


def is_taught(experiment: Experiment) -> bool:
    """Return whether the layers that the student inherits from the teacher are trained to predict
    the teacher's features.
    """
    student = experiment.student
    return inherits(experiment) and student.teaching is not None and student.embedding_weight > 0


def inherits(experiment: Experiment) -> bool:
    """Return whether the student inherits the first stages (groups of layers) of the teacher's
    network. These stages do not change after the first task, so the student's features of an image
    are then the same in every task.
    """
    is_inherited = isinstance(experiment.student.backbone, InheritedBackboneConfig)
    return is_inherited and facts_of(experiment).student_builds_on_teacher


def is_judged_by_tables(role: Role, experiment: Experiment) -> bool:
    """Return whether a role's models are evaluated on features from precomputed feature tables.

    The tables hold the features of a pre-trained teacher's extractor. If the teacher reports the
    features of its stages, the first columns are also the features of a student that inherits these
    stages, unless they are trained to predict the teacher's features.
    """
    if role == "teacher" or not facts_of(experiment).student_builds_on_teacher:
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


def facts_of(experiment: Experiment) -> MethodFacts:
    """Return the facts about the method that an experiment's configuration chooses.

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
        module = import_module(f"orchestrator.methods.{experiment.method.kind}")
        found = module.FACTS if hasattr(module, "FACTS") else module.METHOD
    facts: MethodFacts = found
    return facts
