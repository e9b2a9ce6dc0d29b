"""Configure how the classes of a data set arrive as a sequence of tasks."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_CLASSES, MOST_IMAGES, MOST_TASKS
from orchestrator.config.yaml_files import shortened

Label = int | str
# A stage key consists of letters and digits only, because it becomes the name of a folder in the
# stage store.
StageKey = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,128}$")]
Accuracy = Annotated[float, Field(ge=0, le=1)]


def _class_order(value: object) -> int | tuple[Label, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            msg = f"{value} is not a seed; give 0 or more, or a list of labels"
            raise ValueError(msg)
        if value >= 2**63:
            msg = f"{value} is not a seed; give less than 2**63"
            raise ValueError(msg)
        return value
    labels = tuple(value) if isinstance(value, list | tuple) else ()
    if not labels or not all(
        isinstance(label, int | str) and not isinstance(label, bool) for label in labels
    ):
        msg = (
            f"{shortened(repr(value))} is neither a seed (an integer) nor a list of labels"
            " (integers or text)"
        )
        raise ValueError(msg)
    repeated = sorted(label for label, num in Counter(map(str, labels)).items() if num > 1)
    if repeated:
        msg = f"{shortened(', '.join(repeated))} is listed more than once; list each label once"
        raise ValueError(msg)
    return labels


def _plain(order: int | tuple[Label, ...]) -> int | list[Label]:
    return order if isinstance(order, int) else list(order)


class LearnedTasksConfig(Config):
    """First tasks of a scenario, which earlier runs have learned. The stage store contains the
    teacher and student stages of the last of these tasks. Only `orchestrator retrain` writes this
    configuration.
    """

    num_tasks: int = Field(ge=1, le=MOST_TASKS, description="Number of learned tasks.")
    teacher: StageKey = Field(description="Key of the teacher stage of the last learned task.")
    student: StageKey = Field(description="Key of the student stage of the last learned task.")
    teacher_accuracies: tuple[tuple[Accuracy, ...], ...] = Field(
        description=(
            "Rows of the teacher's accuracy matrix, as measured when the tasks were learned."
        )
    )
    student_accuracies: tuple[tuple[Accuracy, ...], ...] = Field(
        description=(
            "Rows of the student's accuracy matrix, as measured when the tasks were learned."
        )
    )

    @model_validator(mode="after")
    def _one_row_a_task(self) -> LearnedTasksConfig:
        for rows in (self.teacher_accuracies, self.student_accuracies):
            if [len(row) for row in rows] != [*range(1, self.num_tasks + 1)]:
                msg = (
                    f"{self.num_tasks} tasks need rows of 1 to {self.num_tasks} accuracies, got"
                    f" {shortened(str([len(row) for row in rows]))}"
                )
                raise ValueError(msg)
        return self


class ScenarioConfig(Config):
    """Class-incremental scenario: the order and grouping in which classes arrive."""

    num_base_classes: int = Field(
        default=2, ge=1, le=MOST_CLASSES, description="Number of classes of the first task."
    )
    classes_per_task: int = Field(
        default=2,
        ge=1,
        le=MOST_CLASSES,
        description="Number of new classes of every later task; the last task may have fewer.",
    )
    class_order: Annotated[
        int | tuple[Label, ...], PlainValidator(_class_order), PlainSerializer(_plain)
    ] = Field(
        default=0,
        description=(
            "Labels in their order of arrival, or a seed that shuffles all labels. Classes"
            " missing from a list are not used."
        ),
    )
    max_images_per_class: int | None = Field(
        default=None,
        ge=1,
        le=MOST_IMAGES,
        description=(
            "Largest number of training images per class in every task after the first; null"
            " means all."
        ),
    )
    max_images_per_base_class: int | None = Field(
        default=None,
        ge=2,
        le=MOST_IMAGES,
        description=(
            "Largest number of training images per class in the first task; null means all."
        ),
    )
    tasks: tuple[tuple[Label, ...], ...] | None = Field(
        default=None,
        description=(
            "Explicit tasks, each a list of labels, which replace class order and sizes; null"
            " uses class order and sizes."
        ),
    )
    learned: LearnedTasksConfig | None = Field(
        default=None,
        description=(
            "Tasks that are reused instead of learned again, even if their training images no"
            " longer exist; null learns all tasks."
        ),
    )

    @model_validator(mode="after")
    def _tasks_fit(self) -> ScenarioConfig:
        if self.tasks is not None:
            if not self.tasks or not all(self.tasks):
                msg = "tasks: a task has no classes; remove it"
                raise ValueError(msg)
            _class_order([label for task in self.tasks for label in task])
        if self.learned is not None and self.learned.num_tasks >= len(self.tasks or ()):
            msg = (
                f"learned.num_tasks = {self.learned.num_tasks}, but scenario.tasks has"
                f" {len(self.tasks or ())}; add a task to learn"
            )
            raise ValueError(msg)
        return self
