"""A plan: what a run would compute, what it would find in the stage store, and roughly what it would cost. It starts nothing.

A stage's cost is taken to be proportional to its *image passes*: its epochs times the training images of its task. That is
rough. It leaves out that students also see exemplars of old classes, what is not done in epochs, evaluation, and the start of
Ray; and workers are taken to share the work without loss. Use it to tell minutes from days.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import torch

from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.learning import AnalyticConfig, DualTeacherConfig, FinetuningConfig, JointConfig, NearestClassMeanConfig
from orchestrator.config.teacher import FineTunedExtractorConfig
from orchestrator.distributed.resources import cpus_of_this_machine, lanes_of
from orchestrator.errors import ConfigError
from orchestrator.pipelines.execution import check_execution
from orchestrator.stages import Role, Stage, StageStore, Work, prepare_work
from orchestrator.stages.computation import num_training_images
from orchestrator.stages.graph import ROLES
from orchestrator.stages.retention import newest_keys

MAX_MANIFESTS = 200


class StageState(StrEnum):
    """How much of a stage is there already."""

    STORED = "stored"
    BEGUN = "begun"
    TO_COMPUTE = "to compute"


@dataclass(frozen=True)
class Measurement:
    """What a stored stage once cost.

    Attributes:
        role: Whose stage.
        num_image_passes: Epochs times training images.
        worker_seconds: Wall-clock seconds times workers.
    """

    role: Role
    num_image_passes: int
    worker_seconds: float


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a run that has not started.

    Attributes:
        stage: Which.
        state: How much of it is there.
        num_images: Training images of its task.
        num_epochs: Of all its phases; 0 where the method computes in closed form.
        num_train_workers: That will share its work; the fewest of an elastic lane.
        worker_seconds: What it will roughly cost, also when it is begun; 0 when it is stored, None when nothing is known.
    """

    stage: Stage
    state: StageState
    num_images: int
    num_epochs: int
    num_train_workers: int
    worker_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """Wall-clock time that it will roughly take; None when nothing is known."""
        return None if self.worker_seconds is None else self.worker_seconds / self.num_train_workers


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        work: The experiment, cut into stages.
        stages: In an order in which they can be computed.
        available: CPUs and GPUs of this machine, in Ray's names; empty when a cluster elsewhere would compute.
        shortage: Why the run would not start here; empty when nothing is known against it.
    """

    work: Work
    stages: Sequence[PlannedStage]
    available: Mapping[str, float]
    shortage: str

    @property
    def worker_seconds(self) -> float | None:
        """What all that is to be computed will roughly cost; None when that is not known of every stage."""
        return _sum([planned.worker_seconds for planned in self.stages])

    @property
    def wall_seconds(self) -> float | None:
        """How long the run will roughly take: both lanes at the same time under Ray, stage by stage in process."""
        lanes_at_once = isinstance(self.work.experiment.execution, RayConfig)
        return critical_path_seconds(self.stages) if lanes_at_once else _sum([planned.seconds for planned in self.stages])

    @property
    def roles_without_estimate(self) -> list[Role]:
        """Roles of which no stored stage tells what one costs."""
        return [role for role in ROLES if any(planned.stage.role == role and planned.worker_seconds is None for planned in self.stages)]

    def num_in(self, state: StageState) -> int:
        """How many stages are in a state."""
        return sum(planned.state == state for planned in self.stages)


def plan(experiment: Experiment) -> Plan:
    """Finds out what a run of an experiment would do. Only decoded images may be written, to the data cache.

    Raises:
        UserInputError: Data or store address cannot be used.
        StorageUnavailableError: The data cache or the store cannot be reached.
    """
    work = prepare_work(experiment)
    costs = seconds_per_image_pass(measurements(work.store, images_by_stage(work)))
    available, shortage = _room(experiment.execution)
    return Plan(work, [planned_stage(stage, work, costs, _state(stage, work.store)) for stage in work.stages], available, shortage)


# --- the arithmetic --------------------------------------------------------------------------------------------------


def num_epochs_of(role: Role, is_first_task: bool, experiment: Experiment) -> int:
    """Epochs of a stage, over all its phases; 0 where the method computes in closed form."""
    teacher, student = experiment.teacher, experiment.student
    match experiment.method:
        case DualTeacherConfig():
            if role == "student":
                return student.training.epochs
            trains_extractor = is_first_task or isinstance(teacher.extractor, FineTunedExtractorConfig)
            return teacher.refinement.epochs + (teacher.training.epochs if trains_extractor else 0)
        case FinetuningConfig() | JointConfig():
            return (teacher if role == "teacher" else student).training.epochs
        case NearestClassMeanConfig() | AnalyticConfig():
            return teacher.training.epochs if is_first_task else 0
        case _:
            assert_never(experiment.method)


def num_image_passes(num_epochs: int, num_images: int) -> int:
    """The measure of a stage's work. Also a stage without epochs looks at every image once."""
    return max(1, num_epochs) * num_images


def seconds_per_image_pass(measured: Sequence[Measurement]) -> dict[Role, float]:
    """Worker-seconds that one image costs in one epoch, by role: the median over the stages measured."""
    rates: dict[Role, list[float]] = {}
    for stage in measured:
        rates.setdefault(stage.role, []).append(stage.worker_seconds / stage.num_image_passes)
    return {role: statistics.median(found) for role, found in rates.items()}


def critical_path_seconds(stages: Sequence[PlannedStage]) -> float | None:
    """How long both lanes take side by side: a stage waits for the one before it in its lane and for all it builds on.

    Args:
        stages: In an order in which they can be computed.

    Returns:
        Seconds; None when a stage's are not known.
    """
    ended: dict[str, float] = {}
    lane_ended: dict[Role, float] = dict.fromkeys(ROLES, 0.0)
    for planned in stages:
        if planned.seconds is None:
            return None
        stage = planned.stage
        begins = max([lane_ended[stage.role], *(ended.get(key, 0.0) for key in stage.upstream)])
        ended[stage.key] = lane_ended[stage.role] = begins + planned.seconds
    return max(lane_ended.values())


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


# --- what is there ---------------------------------------------------------------------------------------------------


def images_by_stage(work: Work) -> dict[str, int]:
    """How many training images each stage learns from, by the stage's name."""
    return {stage.name: num_training_images(stage, work.experiment, work.scenario) for stage in work.stages}


def measurements(store: StageStore, num_images: Mapping[str, int]) -> list[Measurement]:
    """What stored stages have cost, of whatever experiment, from the newest manifests.

    Args:
        store: Where to look.
        num_images: Training images by stage name; taken for those of a stored stage of that name that does not tell its own.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    found = (_measurement(store.values_of(key) or {}, num_images) for key in newest_keys(store, MAX_MANIFESTS))
    return [measurement for measurement in found if measurement is not None]


def _measurement(values: Mapping[str, object], known_images: Mapping[str, int]) -> Measurement | None:
    match values:
        case {"stage": str(name), "seconds": float(seconds), "num_train_workers": int(workers), "epochs": list(epochs)}:
            told = values.get("num_images")
            num_images = told if isinstance(told, int) else known_images.get(name, 0)
            roles = [role for role in ROLES if name.startswith(f"{role}[")]
            passes = num_image_passes(len(epochs), num_images)
            return Measurement(roles[0], passes, seconds * workers) if roles and passes else None
        case _:  # an evaluation, or a stage of another version
            return None


def planned_stage(stage: Stage, work: Work, costs: Mapping[Role, float], state: StageState) -> PlannedStage:
    """A stage with its size and cost.

    Args:
        stage: Which.
        work: To which it belongs.
        costs: Worker-seconds of an image pass, by role.
        state: How much of it is there.
    """
    experiment = work.experiment
    is_first = stage.task.index == 0
    epochs, images = num_epochs_of(stage.role, is_first, experiment), num_training_images(stage, experiment, work.scenario)
    cost: float | None = 0.0
    if state is not StageState.STORED:
        cost = num_image_passes(epochs, images) * costs[stage.role] if stage.role in costs else None
    return PlannedStage(stage, state, images, epochs, _num_train_workers(stage.role, experiment.execution), cost)


def _state(stage: Stage, store: StageStore) -> StageState:
    if store.values_of(stage.key) is not None:
        return StageState.STORED
    return StageState.BEGUN if store.has_progress(stage.key) else StageState.TO_COMPUTE


def _num_train_workers(role: Role, execution: ExecutionConfig) -> int:
    return lanes_of(execution)[role].min_train_workers if isinstance(execution, RayConfig) else 1


def _room(execution: ExecutionConfig) -> tuple[dict[str, float], str]:
    """What this machine has, and why it would not be enough; nothing is asked of a cluster elsewhere."""
    if isinstance(execution, RayConfig) and execution.address is not None:
        return {}, ""
    available: dict[str, float] = {"CPU": cpus_of_this_machine(), "GPU": torch.cuda.device_count()}
    try:
        check_execution(execution)
    except ConfigError as error:
        return available, str(error)
    return available, ""
