"""A stage as a pure function: its inputs in, its learned model out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import DualTeacherConfig, JointConfig
from orchestrator.data.scenario import Scenario, Split
from orchestrator.methods.baselines import BaselineModel, BaselineSetting, learn_baseline_task
from orchestrator.methods.dual_teacher.student import StudentModel, learn_student_task
from orchestrator.methods.dual_teacher.teacher import TeacherModel, learn_teacher_task
from orchestrator.methods.features.views import Views
from orchestrator.stages.graph import Stage
from orchestrator.stages.model import Model
from orchestrator.training.context import LearningContext


@dataclass(frozen=True)
class Upstream:
    """What a stage builds on.

    Attributes:
        previous: The same role's model of the task before; None in the first task.
        teacher: For a student's stage, the teacher of the same task.
    """

    previous: Model | None
    teacher: Model | None = None


@dataclass(frozen=True)
class StageInputs:
    """All that a stage's result depends on.

    Attributes:
        stage: Which role and task.
        experiment: The configuration.
        scenario: The data.
        upstream: The models it builds on.
        views: What a pre-trained teacher's extractor makes of each class's training images; None
            where none is.
    """

    stage: Stage
    experiment: Experiment
    scenario: Scenario
    upstream: Upstream
    views: Sequence[Views] | None = None


def classes_learned(stage: Stage, experiment: Experiment) -> range:
    """The classes whose training images a stage reads."""
    return (
        range(stage.task.num_seen_classes)
        if isinstance(experiment.method, JointConfig)
        else stage.task.new_classes
    )


def num_training_images(stage: Stage, experiment: Experiment, scenario: Scenario) -> int:
    """How many training images a stage reads."""
    return sum(len(scenario.indices[Split.TRAIN][c]) for c in classes_learned(stage, experiment))


def compute_stage(inputs: StageInputs, context: LearningContext) -> Model:
    """Learns one task. The same inputs give the same model, wherever it is computed on the same
    kind of machine.

    Args:
        inputs: What the result depends on.
        context: Seed, device, image augmentation, reporter.
    """
    stage, experiment, upstream = inputs.stage, inputs.experiment, inputs.upstream
    if not isinstance(experiment.method, DualTeacherConfig):
        return _compute_baseline(inputs, context)
    data = inputs.scenario.images_of(Split.TRAIN, classes_learned(stage, experiment))
    if stage.role == "teacher":
        assert not isinstance(upstream.previous, StudentModel | BaselineModel)  # noqa: S101 - for the type checker
        return learn_teacher_task(
            upstream.previous, data, experiment.teacher, context, inputs.views
        )
    assert isinstance(upstream.teacher, TeacherModel)  # noqa: S101
    assert not isinstance(upstream.previous, TeacherModel | BaselineModel)  # noqa: S101
    features = (
        None if inputs.views is None else torch.cat([of_class.clean for of_class in inputs.views])
    )
    return learn_student_task(
        upstream.previous, upstream.teacher, data, experiment.student, context, features
    )


def _compute_baseline(inputs: StageInputs, context: LearningContext) -> BaselineModel:
    stage, experiment, upstream = inputs.stage, inputs.experiment, inputs.upstream
    assert not isinstance(experiment.method, DualTeacherConfig)  # noqa: S101 - for the type checker
    assert not isinstance(upstream.previous, TeacherModel | StudentModel)  # noqa: S101
    own = experiment.teacher if stage.role == "teacher" else experiment.student
    setting = BaselineSetting(experiment.method, own.backbone, own.training, experiment.teacher)
    data = inputs.scenario.images_of(Split.TRAIN, classes_learned(stage, experiment))
    return learn_baseline_task(upstream.previous, data, setting, context, inputs.views)
