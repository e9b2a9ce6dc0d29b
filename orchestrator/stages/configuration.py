"""Which part of the configuration each stage reads: that part, and nothing else, is in its key.

A test runs every kind of stage, notes each field that is read on the way, and compares: a field
that is read but not listed here would give stale results, one that is listed but not read would
compute the same thing twice.
"""

from __future__ import annotations

from typing import Any, assert_never

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import (
    AnalyticConfig,
    DualTeacherConfig,
    FinetuningConfig,
    JointConfig,
    NearestClassMeanConfig,
)
from orchestrator.config.roles import Role
from orchestrator.config.teacher import FineTunedExtractorConfig, PretrainedExtractorConfig

_IMAGES = ("data.augmentation",)
_PRETRAINING = ("teacher.self_supervision", "teacher.training")
_JOINT_LOSS = (
    "pull_margin",
    "push_margin",
    "weight",
    "keep_weight",
    "shrinkage",
    "few_images_shrinkage",
)
_REFINEMENT = (
    "teacher.num_views",
    "teacher.view_weight",
    "teacher.spread",
    "teacher.refinement",
    "teacher.refinement_gate",
    *(f"teacher.joint_embedding.{name}" for name in _JOINT_LOSS),
)
_EMBEDDING_SHAPE = ("teacher.joint_embedding.dimensions", "teacher.joint_embedding.adapter_width")
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


def configuration_read(role: Role, is_first_task: bool, experiment: Experiment) -> dict[str, Any]:
    """The part of the configuration that a stage reads, by dotted path.

    Args:
        role: Whose stage.
        is_first_task: Whether it starts from nothing.
        experiment: The whole configuration.
    """
    tree = experiment.model_dump(mode="json")
    return {
        path: _value(tree, path)
        for path in sorted({"method", *_IMAGES, *_paths(role, is_first_task, experiment)})
    }


def _paths(role: Role, is_first_task: bool, experiment: Experiment) -> tuple[str, ...]:
    is_pretrained = role == "teacher" and isinstance(
        experiment.teacher.extractor, PretrainedExtractorConfig
    )
    if is_pretrained and not isinstance(experiment.method, DualTeacherConfig):
        trains = isinstance(experiment.method, FinetuningConfig | JointConfig)
        return (
            "teacher.backbone",
            "teacher.extractor",
            "teacher.num_views",
            *(("teacher.training",) if trains else ()),
        )
    match experiment.method:
        case DualTeacherConfig():
            return (
                _teacher_paths(is_first_task, experiment)
                if role == "teacher"
                else _student_paths(is_first_task)
            )
        case FinetuningConfig():
            start = (
                (f"{role}.backbone", "teacher.joint_embedding.dimensions") if is_first_task else ()
            )
            return (f"{role}.training", *start)
        case JointConfig():
            return (f"{role}.training", f"{role}.backbone", "teacher.joint_embedding.dimensions")
        case NearestClassMeanConfig() | AnalyticConfig():
            return (
                "teacher.num_views",
                *((f"{role}.backbone", *_PRETRAINING) if is_first_task else ()),
            )
        case _:
            assert_never(experiment.method)


def _teacher_paths(is_first_task: bool, experiment: Experiment) -> tuple[str, ...]:
    if isinstance(experiment.teacher.extractor, PretrainedExtractorConfig):
        start = (
            (*_EMBEDDING_SHAPE, "teacher.backbone")
            if is_first_task
            else ("teacher.augmentation", "teacher.rehearsal")
        )
        return (*_REFINEMENT, "teacher.extractor", *start)
    if is_first_task:
        return (*_REFINEMENT, *_EMBEDDING_SHAPE, *_PRETRAINING, "teacher.backbone")
    fine_tuned = isinstance(experiment.teacher.extractor, FineTunedExtractorConfig)
    return (
        *_REFINEMENT,
        "teacher.augmentation",
        "teacher.rehearsal",
        "teacher.extractor",
        *(("teacher.training",) if fine_tuned else ()),
    )


def _student_paths(is_first_task: bool) -> tuple[str, ...]:
    return (
        *_DISTILLATION,
        *(
            ("student.backbone",)
            if is_first_task
            else ("student.consolidation", "student.rehearsal", "student.stability_weight")
        ),
    )


def _value(tree: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - whatever stands in the configuration
    node: Any = tree
    for name in path.split("."):
        node = node[name]
    return node
