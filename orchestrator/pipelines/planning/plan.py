"""A plan: what a run would compute, what it would find in the stage store, and roughly what it
would cost. It starts nothing.

A stage's cost is taken to be proportional to its *image passes*: its epochs times the training
images of its task. That is rough. It leaves out that students also see exemplars of old classes,
what is not done in epochs, evaluation, and the start of Ray; and workers are taken to share the
work without loss. What a pre-trained extractor has to look at first counts image by image, with the
stage that needs it first. Use it to tell minutes from days.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Literal

import torch

from orchestrator.config.backbones import BackboneConfig
from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.distributed.resources import lanes_of
from orchestrator.errors import ConfigError
from orchestrator.methods.method import method_of
from orchestrator.pipelines.run.execution import check_execution
from orchestrator.stages import Stage, StageStore, Work, check_backbones, prepare_work
from orchestrator.stages.computation import num_training_images
from orchestrator.stages.feature_tables import (
    FeatureTables,
    ImagesOfClass,
    tables_judged_by,
    tables_learned_from,
)
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.retention import newest_keys
from orchestrator.training.context import LearningContext

MAX_MANIFESTS = 200

Kind = Role | Literal["features"]
"""What is known to cost time: a role's stages, and tables of features."""
KINDS: tuple[Kind, ...] = (*ROLES, "features")


class StageState(StrEnum):
    """How much of a stage is there already."""

    STORED = "stored"
    BEGUN = "begun"
    TO_COMPUTE = "to compute"


@dataclass(frozen=True)
class Measurement:
    """What a stored stage, or a table of features, once cost.

    Attributes:
        kind: Whose stage, or that it is a table.
        num_image_passes: Epochs times training images; of a table, images.
        worker_seconds: Wall-clock seconds times workers.
    """

    kind: Kind
    num_image_passes: int
    worker_seconds: float


@dataclass(frozen=True)
class PlannedTable:
    """A table of features that has to be there before a stage can learn or be judged.

    Attributes:
        key: Of the table in the store.
        num_images: That the extractor has to look at.
        worker_seconds: What it will roughly cost; None when nothing is known.
    """

    key: str
    num_images: int
    worker_seconds: float | None


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a run that has not started.

    Attributes:
        stage: Which.
        state: How much of it is there.
        num_images: Training images of its task.
        num_epochs: Of all its phases; 0 where the method computes in closed form.
        num_train_workers: That will share its work; the fewest of an elastic lane.
        own_worker_seconds: What it will roughly cost by itself, also when it is begun; 0 when it is
            stored, None when nothing is known.
        tables: Tables of features that are made for it.
    """

    stage: Stage
    state: StageState
    num_images: int
    num_epochs: int
    num_train_workers: int
    own_worker_seconds: float | None
    tables: Sequence[PlannedTable] = ()

    def without_tables(self, made: Container[str]) -> PlannedStage:
        """The same, where some tables, given by their keys, have been made."""
        return replace(self, tables=[table for table in self.tables if table.key not in made])

    @property
    def worker_seconds(self) -> float | None:
        """What it will roughly cost with its tables; None when nothing is known."""
        return _sum([self.own_worker_seconds, *(table.worker_seconds for table in self.tables)])

    @property
    def kinds_without_estimate(self) -> set[Kind]:
        """What of its cost is not known."""
        unknown: set[Kind] = set() if self.own_worker_seconds is not None else {self.stage.role}
        return unknown | (
            {"features"} if any(table.worker_seconds is None for table in self.tables) else set()
        )

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
        available: CPUs and GPUs of this machine, in Ray's names; empty when a cluster elsewhere
            would compute.
        shortage: Why the run would not start here; empty when nothing is known against it.
    """

    work: Work
    stages: Sequence[PlannedStage]
    available: Mapping[str, float]
    shortage: str

    @property
    def worker_seconds(self) -> float | None:
        """What all that is to be computed will roughly cost; None when that is not known of every
        stage.
        """
        return _sum([planned.worker_seconds for planned in self.stages])

    @property
    def wall_seconds(self) -> float | None:
        """How long the run will roughly take: both lanes at the same time under Ray, stage by stage
        in process.
        """
        lanes_at_once = isinstance(self.work.experiment.execution, RayConfig)
        return (
            critical_path_seconds(self.stages)
            if lanes_at_once
            else _sum([planned.seconds for planned in self.stages])
        )

    @property
    def num_unseen_images(self) -> int:
        """Images that a pre-trained extractor has to look at first."""
        return sum(table.num_images for planned in self.stages for table in planned.tables)

    @property
    def kinds_without_estimate(self) -> list[Kind]:
        """What of the cost is not known, as nothing of this kind is in the store."""
        unknown = set().union(*(planned.kinds_without_estimate for planned in self.stages))
        return [kind for kind in KINDS if kind in unknown]

    def num_in(self, state: StageState) -> int:
        """How many stages are in a state."""
        return sum(planned.state == state for planned in self.stages)


def plan(experiment: Experiment) -> Plan:
    """Finds out what a run of an experiment would do. Only decoded images may be written, to the
    data cache.

    Raises:
        UserInputError: Data, store address or backbones cannot be used.
        StorageUnavailableError: The data cache or the store cannot be reached.
    """
    work = prepare_work(experiment)
    check_backbones(experiment, work.scenario)
    costs = seconds_per_image_pass(measurements(work.store, experiment.teacher.backbone))
    available, shortage = _room(experiment.execution)
    stages: list[PlannedStage] = []
    made: set[str] = set()
    tables = tables_of(work)
    for stage in work.stages:
        left = planned_stage(stage, work, costs, _state(stage, work.store), tables).without_tables(
            made
        )
        made |= {table.key for table in left.tables if work.store.values_of(table.key) is not None}
        stages.append(left.without_tables(made))
        made |= {table.key for table in left.tables}
    return Plan(work, stages, available, shortage)


# --- the arithmetic -------------------------------------------------------------------------------


def num_image_passes(num_epochs: int, num_images: int) -> int:
    """The measure of a stage's work. Also a stage without epochs looks at every image once."""
    return max(1, num_epochs) * num_images


def seconds_per_image_pass(measured: Sequence[Measurement]) -> dict[Kind, float]:
    """Worker-seconds that one image costs in one epoch, by role, or in a table: the median over all
    image passes that were measured.

    Over the passes and not the stages: one of ten images mostly takes what is not done image by
    image.
    """
    return {
        kind: _median_rate([each for each in measured if each.kind == kind])
        for kind in {each.kind for each in measured}
    }


def _median_rate(measured: Sequence[Measurement]) -> float:
    ordered = sorted(
        (each.worker_seconds / each.num_image_passes, each.num_image_passes) for each in measured
    )
    ends = [*accumulate(passes for _, passes in ordered)]
    return ordered[bisect_left(ends, ends[-1] / 2)][0]


def critical_path_seconds(stages: Sequence[PlannedStage]) -> float | None:
    """How long both lanes take side by side: a stage waits for the one before it in its lane and
    for all it builds on.

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


# --- what is there --------------------------------------------------------------------------------


def measurements(store: StageStore, backbone: BackboneConfig) -> list[Measurement]:
    """What stored stages, of whatever experiment, and tables of features have cost, from the newest
    manifests.

    Args:
        store: Where to look.
        backbone: Of the pre-trained extractor: tables of another one tell nothing.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    alike = backbone.model_dump(mode="json")
    found = (
        _measurement(store.values_of(key) or {}, alike) for key in newest_keys(store, MAX_MANIFESTS)
    )
    return [measurement for measurement in found if measurement is not None]


def _measurement(values: Mapping[str, object], backbone: object) -> Measurement | None:
    match values:
        case {
            "stage": str(name),
            "seconds_without_features": float(seconds),
            "num_train_workers": int(workers),
            "num_images": int(num_images),
            "epochs": list(epochs),
        }:
            roles = [role for role in ROLES if name.startswith(f"{role}[")]
            passes = num_image_passes(len(epochs), num_images)
            return Measurement(roles[0], passes, seconds * workers) if roles and passes else None
        case {
            "features_of": str(),
            "num_images": int(num_images),
            "seconds": float(seconds),
            "num_train_workers": int(workers),
        }:
            is_alike = values.get("backbone") == backbone
            return (
                Measurement("features", num_images, seconds * workers)
                if is_alike and num_images
                else None
            )
        case _:  # an evaluation, or a stage of another version
            return None


def planned_stage(
    stage: Stage, work: Work, costs: Mapping[Kind, float], state: StageState, tables: FeatureTables
) -> PlannedStage:
    """A stage with its size and cost, and all tables that it and its evaluation read, unless these
    are stored.

    Args:
        stage: Which.
        work: To which it belongs.
        costs: Worker-seconds of an image pass, by role, and of an image in a table.
        state: How much of it is there.
        tables: Of the work.
    """
    experiment = work.experiment
    is_first, workers = stage.task.index == 0, _num_train_workers(stage.role, experiment.execution)
    epochs, images = (
        method_of(experiment).num_epochs(stage.role, is_first, experiment),
        num_training_images(stage, experiment, work.scenario),
    )
    read = tables_judged_by(stage, experiment)
    if state is StageState.STORED:
        cost: float | None = 0.0
        is_judged = (
            bool(read) and work.store.values_of(evaluation_key(stage, work.scenario)) is not None
        )
        read = [] if is_judged else read
    else:
        cost = num_image_passes(epochs, images) * costs[stage.role] if stage.role in costs else None
        read = [*tables_learned_from(stage, experiment), *read]
    return PlannedStage(
        stage,
        state,
        images,
        epochs,
        workers,
        cost,
        _planned_tables(read, tables, costs.get("features")),
    )


def tables_of(work: Work) -> FeatureTables:
    """The tables of features that a work's stages read, to know their keys: none is computed. One
    object reads weights once.
    """
    nowhere = LearningContext(
        work.experiment.seed, "features", torch.device("cpu"), work.experiment.data.augmentation
    )
    return FeatureTables(work.experiment, work.scenario, work.store, nowhere)


def _planned_tables(
    read: Sequence[ImagesOfClass], tables: FeatureTables, cost: float | None
) -> list[PlannedTable]:
    sizes = {tables.key_of(*images): tables.num_images_of(*images) for images in read}
    return [
        PlannedTable(key, num, None if cost is None else num * cost) for key, num in sizes.items()
    ]


def _state(stage: Stage, store: StageStore) -> StageState:
    if store.values_of(stage.key) is not None:
        return StageState.STORED
    return StageState.BEGUN if store.has_progress(stage.key) else StageState.TO_COMPUTE


def _num_train_workers(role: Role, execution: ExecutionConfig) -> int:
    return lanes_of(execution)[role].min_train_workers if isinstance(execution, RayConfig) else 1


def _room(execution: ExecutionConfig) -> tuple[dict[str, float], str]:
    """What this machine has, and why it would not be enough; nothing is asked of a cluster
    elsewhere.
    """
    if isinstance(execution, RayConfig) and execution.address is not None:
        return {}, ""
    available: dict[str, float] = {"CPU": cpus_of_this_machine(), "GPU": torch.cuda.device_count()}
    try:
        check_execution(execution)
    except ConfigError as error:
        return available, str(error)
    return available, ""
