"""A plan: what a run would compute, what it would find in the stage store, and roughly what it
would cost. It starts nothing.

A stage's cost is taken to be proportional to its *image passes*: its epochs times the training
images of its task. That is rough. It leaves out that students also see exemplars of old classes,
what is not done in epochs, evaluation, and the start of Ray; and workers are taken to share the
work without loss. What a pre-trained extractor has to look at first counts image by image, with the
stage that needs it first. Use it to tell minutes from days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.errors import ConfigError
from orchestrator.pipelines.planning.cost import (
    KINDS,
    Kind,
    measurements,
    seconds_per_image_pass,
    sum_if_known,
)
from orchestrator.pipelines.planning.planned_stages import (
    PlannedStage,
    StageState,
    planned_stage,
    tables_of,
)
from orchestrator.pipelines.run.execution import check_execution
from orchestrator.stages import Stage, StageStore, Work, check_backbones, prepare_work


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
