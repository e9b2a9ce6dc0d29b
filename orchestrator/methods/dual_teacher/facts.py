"""Facts about the dual-teacher method that are known without building its networks.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.config.teacher import FineTunedExtractorConfig
from orchestrator.methods.facts import (
    PRETRAINING_PATHS,
    STAGE_FORMATS,
    SharedPasses,
    inherits,
    is_judged_by_tables,
    is_pretrained,
    is_taught,
)

_CLOSED_FORM = (
    "teacher.num_views",
    "teacher.view_weight",
    "teacher.agreement_rounds",
    "teacher.spread",
    "teacher.joint_embedding.shrinkage",
    "teacher.joint_embedding.few_images_shrinkage",
)
_REFINEMENT = (
    "teacher.refinement",
    "teacher.refinement_gate",
    "teacher.joint_embedding.pull_margin",
    "teacher.joint_embedding.push_margin",
    "teacher.joint_embedding.weight",
    "teacher.joint_embedding.keep_weight",
)
_EMBEDDING_SHAPE = (
    "teacher.joint_embedding.dimensions",
    "teacher.joint_embedding.adapter_width",
)
_LATER_REFINEMENT = ("teacher.rehearsal",)
_LATER_TEACHER = ("teacher.augmentation",)
_DISTILLATION = (
    "student.training",
    "student.embedding_weight",
    "student.classifier_weight",
    "student.prototype_weight",
    "student.anchor_weight",
    "student.mixture_weight",
    "student.augmentation_strength",
    "student.classifier",
    "student.classifier_shrinkage",
    "student.temperature",
    "student.transfer",
)
_INHERITING = (
    "student.backbone",
    "student.classifier_weight",
    "student.classifier_shrinkage",
    "student.few_images_shrinkage",
    "student.teaching",
    "student.temperature",
    "student.transfer",
    "student.transfer_rounds",
)
_FIRST_STUDENT = ("student.backbone",)
_LATER_STUDENT = ("student.consolidation", "student.rehearsal", "student.stability_weight")


class DualTeacherFacts:
    """Facts about the stages of the dual-teacher method: which settings and images the stages read,
    and how many epochs the stages train.
    """

    formats = STAGE_FORMATS
    student_builds_on_teacher = True
    learns_from_all_images = False

    def configuration_paths(
        self, role: Role, is_first_task: bool, experiment: Experiment
    ) -> Sequence[str]:
        """Return the configuration paths that a stage of the given role reads. A teacher's stage
        reads no path that starts with `student`.
        """
        if role == "student":
            if isinstance(experiment.student.backbone, InheritedBackboneConfig):
                is_offered = experiment.student.teaching is not None
                return (*_INHERITING, *(("student.embedding_weight",) if is_offered else ()))
            return (*_DISTILLATION, *(_FIRST_STUDENT if is_first_task else _LATER_STUDENT))
        head = _paths_of_the_head(is_first_task, experiment)
        if is_pretrained(role, experiment):
            first = (*_EMBEDDING_SHAPE, "teacher.backbone")
            own = first if is_first_task else _LATER_TEACHER
            return (*head, "teacher.extractor", *own)
        if is_first_task:
            return (*head, *_EMBEDDING_SHAPE, *PRETRAINING_PATHS, "teacher.backbone")
        trains = isinstance(experiment.teacher.extractor, FineTunedExtractorConfig)
        training = ("teacher.training",) if trains else ()
        return (*head, *_LATER_TEACHER, "teacher.extractor", *training)

    def learns_from_unlabeled_images(self, role: Role, experiment: Experiment) -> bool:
        """Return whether the given role learns from unlabelled images. Only a student that inherits
        the first stages of the teacher's network does.
        """
        inherits = isinstance(experiment.student.backbone, InheritedBackboneConfig)
        return role == "student" and inherits

    def num_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the number of epochs of one stage.

        The number for a student is its epochs of distillation. For an inherited student it is the
        number of transfer rounds over all images, plus the epochs in which inherited layers learn
        to predict the teacher's features. For a teacher it is the epochs of extractor training and
        of refinement.
        """
        if role == "student":
            own = experiment.student
            if not isinstance(own.backbone, InheritedBackboneConfig):
                return own.training.epochs
            rounds = own.transfer_rounds if own.classifier_weight else 0
            return rounds + _taught_epochs(is_first_task, experiment)
        teacher = experiment.teacher
        trains = is_first_task or isinstance(teacher.extractor, FineTunedExtractorConfig)
        trains = trains and not is_pretrained(role, experiment)
        return teacher.refinement.epochs + (teacher.training.epochs if trains else 0)

    def num_own_epochs(self, role: Role, is_first_task: bool, experiment: Experiment) -> int:
        """Return the number of epochs of one stage, without the epochs in which inherited layers
        learn to predict the teacher's features.
        """
        taught = _taught_epochs(is_first_task, experiment) if role == "student" else 0
        return self.num_epochs(role, is_first_task, experiment) - taught

    def passes_per_image(self, role: Role, experiment: Experiment) -> int:
        """Return how many images a stage processes for each training image in an epoch. The number
        is 2 for a student that also imitates the teacher on mixtures of images, otherwise 1.
        """
        own = experiment.student
        if role == "teacher" or inherits(experiment) or is_pretrained("teacher", experiment):
            return 1
        return 2 if own.embedding_weight and own.mixture_weight else 1

    def shared_passes(
        self, is_first_task: bool, experiment: Experiment, num_labeled: int, num_unlabeled: int
    ) -> Sequence[SharedPasses]:
        """Return the image passes that compute shared results. In an image pass, a network
        processes one image once. The stage of an inherited student shares these results with other
        stages: the teacher's features of seeded views, the taught layers, and the student's
        features.
        """
        if not inherits(experiment) or is_judged_by_tables("student", experiment):
            return ()
        own = [SharedPasses("extraction", "student", num_labeled)]
        if num_unlabeled and experiment.student.classifier_weight:
            own.append(SharedPasses("extraction", "student", num_unlabeled, unlabeled=True))
        teaching = experiment.student.teaching
        if teaching is None or not (is_first_task and is_taught(experiment)):
            return own
        views = min(teaching.max_images, num_labeled + num_unlabeled) * teaching.num_views
        steps = views * teaching.training.epochs
        return (
            SharedPasses("extraction", "teacher", views, of_views=True),
            SharedPasses("teaching", "student", steps, of_views=True),
            *own,
        )


def _taught_epochs(is_first_task: bool, experiment: Experiment) -> int:
    teaching = experiment.student.teaching
    is_now = is_first_task and is_taught(experiment)
    return teaching.training.epochs if teaching is not None and is_now else 0


def _paths_of_the_head(is_first_task: bool, experiment: Experiment) -> tuple[str, ...]:
    """Return the configuration paths that determine the teacher's embedding module and classifier.

    If refinement is off, all other settings of refinement are excluded. Trials that differ only in
    those settings then share their teachers.
    """
    if not experiment.teacher.refinement.epochs:
        return (*_CLOSED_FORM, "teacher.refinement.epochs")
    return (*_CLOSED_FORM, *_REFINEMENT, *(() if is_first_task else _LATER_REFINEMENT))


FACTS = DualTeacherFacts()
