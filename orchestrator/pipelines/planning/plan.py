"""A plan: what a run would compute, what it would find in the stage store, and roughly what it
would cost. It starts nothing.

A stage's cost is taken to be proportional to its *image passes*, its epochs times the training
images of its task, and to the multiply-adds of its extractor for one image. That is rough. It
leaves out that students also see exemplars of old classes, what is not done in epochs, evaluation,
and the start of Ray; and workers are taken to share the work without loss. What a pre-trained
extractor has to look at first counts image by image, with the stage that needs it first. Use it to
tell minutes from days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.errors import ConfigError
from orchestrator.models.backbones import Cuts, cuts_of
from orchestrator.pipelines.planning.cost import (
    KINDS,
    Kind,
    measurements,
    rates,
    sum_if_known,
)
from orchestrator.pipelines.planning.planned_stages import (
    PlannedStage,
    PlannedTable,
    StageState,
    planned_stage,
    tables_of,
)
from orchestrator.pipelines.run.execution import check_execution
from orchestrator.stages import Stage, StageStore, Work, check_backbones, prepare_work
from orchestrator.stages.backbones import of_role, work_of_an_image

_BYTES_OF_FEATURE = 2
"""Tables of features are half precision."""


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        work: The experiment, cut into stages.
        stages: In an order in which they can be computed.
        available: CPUs and GPUs of this machine, in Ray's names; empty when a cluster elsewhere
            would compute.
        shortage: Why the run would not start here; empty when nothing is known against it.
        num_features: Of the teacher's extractor.
        cost_factor: By so much the cost may be wrong, either way; at least 1.
        cuts: Of the teacher's backbone: all of them where they were asked for, else the student's;
            None where they were not and the student inherits nothing.
    """

    work: Work
    stages: Sequence[PlannedStage]
    available: Mapping[str, float]
    shortage: str
    num_features: int
    cuts: Cuts | None = None
    cost_factor: float = 1.0

    @property
    def worker_seconds(self) -> float | None:
        """What all that is to be computed will roughly cost; None when that is not known of every
        stage.
        """
        return sum_if_known([planned.worker_seconds for planned in self.stages])

    @property
    def wall_seconds(self) -> float | None:
        """How long the run will roughly take: both lanes at the same time under Ray, stage by stage
        in process.
        """
        lanes_at_once = isinstance(self.work.experiment.execution, RayConfig)
        return (
            critical_path_seconds(self.stages)
            if lanes_at_once
            else sum_if_known([planned.seconds for planned in self.stages])
        )

    @property
    def num_unseen_images(self) -> int:
        """Images that a pre-trained extractor has to look at first."""
        return sum(table.num_images for table in self._tables)

    @property
    def features_bytes(self) -> int:
        """Size of the tables of these images' features."""
        return self.num_unseen_images * self.num_features * _BYTES_OF_FEATURE

    @property
    def images_per_second(self) -> float | None:
        """Return the images a second of a worker's extractor; None when not known."""
        seconds = sum_if_known([table.worker_seconds for table in self._tables])
        return self.num_unseen_images / seconds if seconds else None

    @property
    def chosen_cut(self) -> str | None:
        """Name of the last stage that the student inherits; None where it inherits nothing."""
        return _chosen_cut(self.work.experiment)

    @property
    def _tables(self) -> list[PlannedTable]:
        return [table for planned in self.stages for table in planned.tables]

    @property
    def kinds_without_estimate(self) -> list[Kind]:
        """What of the cost is not known, as nothing of this kind is in the store."""
        unknown = set().union(*(planned.kinds_without_estimate for planned in self.stages))
        return [kind for kind in KINDS if kind in unknown]

    def num_in(self, state: StageState) -> int:
        """How many stages are in a state."""
        return sum(planned.state == state for planned in self.stages)


def plan(experiment: Experiment, *, with_cuts: bool = False) -> Plan:
    """Finds out what a run of an experiment would do. Only decoded images may be written, to the
    data cache.

    Args:
        experiment: That would run.
        with_cuts: Whether every cut of the teacher's backbone is looked at, and its latency
            measured.

    Raises:
        UserInputError: Data, store address or backbones cannot be used.
        StorageUnavailableError: The data cache or the store cannot be reached.
    """
    work = prepare_work(experiment)
    num_features = check_backbones(experiment, work.scenario)["teacher"]
    costs = rates(
        measurements(work.store, experiment.teacher.backbone),
        {role: work_of_an_image(experiment, role, work.scenario.shape) for role in ROLES},
    )
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
    cuts = _cuts(work, with_cuts)
    used: set[Kind] = {it.stage.role for it in stages if it.own_worker_seconds}
    used |= {"features"} if any(it.tables for it in stages) else set()
    factor = max([costs[kind].factor for kind in used if kind in costs], default=1.0)
    return Plan(work, stages, available, shortage, num_features, cuts, factor)


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


def _cuts(work: Work, is_asked_for: bool) -> Cuts | None:
    backbone, shape = work.experiment.teacher.backbone, work.scenario.shape
    chosen = _chosen_cut(work.experiment)
    with of_role("teacher"):
        if is_asked_for:
            return cuts_of(backbone, shape, is_timed=True)
        return None if chosen is None else cuts_of(backbone, shape, chosen)


def _chosen_cut(experiment: Experiment) -> str | None:
    backbone = experiment.student.backbone
    return backbone.until if isinstance(backbone, InheritedBackboneConfig) else None


def _state(stage: Stage, store: StageStore) -> StageState:
    if store.values_of(stage.key) is not None:
        return StageState.STORED
    return StageState.BEGUN if store.has_progress(stage.key) else StageState.TO_COMPUTE


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
