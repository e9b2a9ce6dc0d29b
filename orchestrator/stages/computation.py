"""Compute a stage as a pure function of its inputs; the result is the learned model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config.experiment import Experiment
from orchestrator.data.scenario import Scenario, Split
from orchestrator.methods.facts import classes_learned, learns_from_unlabeled
from orchestrator.methods.method import LearningInputs, Model, method_of
from orchestrator.methods.views import Views
from orchestrator.stages.graph import Stage
from orchestrator.training.context import LearningContext


@dataclass(frozen=True)
class Upstream:
    """Models of earlier stages that a stage needs.

    Attributes:
        previous: The role's model after the previous task; None in the first task.
        teacher: For the stage of a distilled student, the teacher's model after the same task.
    """

    previous: Model | None
    teacher: Model | None = None


@dataclass(frozen=True)
class StageInputs:
    """All inputs that determine a stage's result.

    Attributes:
        stage: Role and task.
        experiment: The configuration.
        scenario: The data.
        upstream: The models that the stage builds on.
        views: Features of each class's training images, computed by the teacher's pre-trained
            extractor; None if the teacher's extractor is not pre-trained, and for the stage of a
            student that is not distilled.
        unlabeled_views: Features of the unlabelled images, computed by the same extractor; also
            None if the stage does not learn from unlabelled images.
    """

    stage: Stage
    experiment: Experiment
    scenario: Scenario
    upstream: Upstream
    views: Sequence[Views] | None = None
    unlabeled_views: Sequence[Views] | None = None


def compute_stage(inputs: StageInputs, context: LearningContext) -> Model:
    """Learn one task. The same inputs give the same model on every machine of the same kind.

    Args:
        inputs: The inputs that determine the result.
        context: Seed, device, image augmentation, listener.
    """
    method, role, scenario = method_of(inputs.experiment), inputs.stage.role, inputs.scenario
    data = scenario.images_of(Split.TRAIN, classes_learned(method, inputs.stage.task))
    reads_unlabeled = learns_from_unlabeled(role, inputs.experiment)
    learning = LearningInputs(
        role,
        data,
        inputs.experiment,
        inputs.upstream.previous,
        inputs.upstream.teacher,
        inputs.views,
        scenario.unlabeled_images(data) if reads_unlabeled else None,
        inputs.unlabeled_views,
    )
    return method.learn(learning, context)
