"""One way through the code for any stage: role and method in, learned model out."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.baselines import BaselineModel, learn_baseline_task
from orchestrator.baselines.learning import BaselineSetting
from orchestrator.config.experiment import Experiment
from orchestrator.config.learning import DualTeacherConfig, JointConfig
from orchestrator.data.scenario import LabeledImages, Scenario, Split
from orchestrator.stages.graph import Stage
from orchestrator.student import StudentModel, learn_student_task
from orchestrator.teacher import TeacherModel, learn_teacher_task
from orchestrator.training.context import LearningContext

Model = TeacherModel | StudentModel | BaselineModel


@dataclass(frozen=True)
class Upstream:
    """What a stage builds on.

    Attributes:
        previous: The same role's model of the task before; None in the first task.
        teacher: For a student's stage, the teacher of the same task.
    """

    previous: Model | None
    teacher: Model | None = None


def compute_stage(stage: Stage, experiment: Experiment, scenario: Scenario, upstream: Upstream, context: LearningContext) -> Model:
    """Learns one task. The same stage gives the same model, wherever it is computed on the same kind of machine.

    Args:
        stage: Which role and task.
        experiment: The configuration.
        scenario: The data.
        upstream: The models it builds on.
        context: Seed, device, image augmentation, reporter.
    """
    data = scenario.images_of(Split.TRAIN, stage.task.new_classes)
    if not isinstance(experiment.method, DualTeacherConfig):
        return _compute_baseline(stage, experiment, scenario, upstream, context)
    if stage.role == "teacher":
        assert not isinstance(upstream.previous, StudentModel | BaselineModel)  # noqa: S101 - for the type checker
        return learn_teacher_task(upstream.previous, data, experiment.teacher, context)
    assert isinstance(upstream.teacher, TeacherModel)  # noqa: S101
    assert not isinstance(upstream.previous, TeacherModel | BaselineModel)  # noqa: S101
    return learn_student_task(upstream.previous, upstream.teacher, data, experiment.student, context)


def _compute_baseline(
    stage: Stage, experiment: Experiment, scenario: Scenario, upstream: Upstream, context: LearningContext
) -> BaselineModel:
    assert not isinstance(experiment.method, DualTeacherConfig)  # noqa: S101 - for the type checker
    assert not isinstance(upstream.previous, TeacherModel | StudentModel)  # noqa: S101
    own = experiment.teacher if stage.role == "teacher" else experiment.student
    setting = BaselineSetting(experiment.method, own.backbone, own.training, experiment.teacher)
    return learn_baseline_task(upstream.previous, _baseline_data(stage, experiment, scenario), setting, context)


def _baseline_data(stage: Stage, experiment: Experiment, scenario: Scenario) -> LabeledImages:
    seen = range(stage.task.num_seen_classes) if isinstance(experiment.method, JointConfig) else stage.task.new_classes
    return scenario.images_of(Split.TRAIN, seen)
