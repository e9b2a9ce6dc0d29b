"""One way through the code for any stage: its inputs in, its learned model out; computed only where the store has none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from orchestrator.baselines import BaselineModel, learn_baseline_task
from orchestrator.baselines.learning import BaselineSetting
from orchestrator.config.experiment import Experiment
from orchestrator.config.learning import DualTeacherConfig, JointConfig
from orchestrator.data.scenario import Scenario, Split
from orchestrator.stages.artifacts import from_artifact, to_artifact
from orchestrator.stages.graph import Stage
from orchestrator.stages.model import Model
from orchestrator.stages.store import StageStore
from orchestrator.student import StudentModel, learn_student_task
from orchestrator.teacher import TeacherModel, learn_teacher_task
from orchestrator.training.context import EpochReport, LearningContext


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
    """

    stage: Stage
    experiment: Experiment
    scenario: Scenario
    upstream: Upstream


def compute_stage(inputs: StageInputs, context: LearningContext) -> Model:
    """Learns one task. The same inputs give the same model, wherever it is computed on the same kind of machine.

    Args:
        inputs: What the result depends on.
        context: Seed, device, image augmentation, reporter.
    """
    stage, experiment, upstream = inputs.stage, inputs.experiment, inputs.upstream
    if not isinstance(experiment.method, DualTeacherConfig):
        return _compute_baseline(inputs, context)
    data = inputs.scenario.images_of(Split.TRAIN, stage.task.new_classes)
    if stage.role == "teacher":
        assert not isinstance(upstream.previous, StudentModel | BaselineModel)  # noqa: S101 - for the type checker
        return learn_teacher_task(upstream.previous, data, experiment.teacher, context)
    assert isinstance(upstream.teacher, TeacherModel)  # noqa: S101
    assert not isinstance(upstream.previous, TeacherModel | BaselineModel)  # noqa: S101
    return learn_student_task(upstream.previous, upstream.teacher, data, experiment.student, context)


def obtain_stage(store: StageStore, inputs: StageInputs, context: LearningContext) -> tuple[Model, bool]:
    """A stage's model, from the store or else computed and stored; and whether it came from the store.

    A stored stage brings its training curves along: the reporter hears of every epoch either way.

    Raises:
        StorageUnavailableError: The store cannot be read or written.
    """
    stage, experiment = inputs.stage, inputs.experiment
    artifact = store.load(stage.key)
    if artifact is not None:
        for report in artifact.values["epochs"]:
            context.reporter(EpochReport(**report))
        return from_artifact(artifact, stage.role, experiment, inputs.scenario.shape, context.device), True
    epochs: list[dict[str, Any]] = []

    def report_and_keep(report: EpochReport) -> None:
        epochs.append(report.as_json())
        context.reporter(report)

    model = compute_stage(inputs, replace(context, reporter=report_and_keep))
    artifact = to_artifact(model)
    store.save(stage.key, replace(artifact, values={**artifact.values, "epochs": epochs}))
    return model, False


def _compute_baseline(inputs: StageInputs, context: LearningContext) -> BaselineModel:
    stage, experiment, upstream = inputs.stage, inputs.experiment, inputs.upstream
    assert not isinstance(experiment.method, DualTeacherConfig)  # noqa: S101 - for the type checker
    assert not isinstance(upstream.previous, TeacherModel | StudentModel)  # noqa: S101
    own = experiment.teacher if stage.role == "teacher" else experiment.student
    setting = BaselineSetting(experiment.method, own.backbone, own.training, experiment.teacher)
    seen = range(stage.task.num_seen_classes) if isinstance(experiment.method, JointConfig) else stage.task.new_classes
    return learn_baseline_task(upstream.previous, inputs.scenario.images_of(Split.TRAIN, seen), setting, context)
