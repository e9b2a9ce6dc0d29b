"""A sweep's plan: how many stages its trials have in common, what of that is stored, and roughly
what is left. It starts nothing.

Costs are those of `pipelines.plan`, just as rough. The time on the clock comes from playing the
sweep through: trials begin in their order, as many at once as fit, and whoever needs a stage that
another trial is computing waits for it. The start of Ray is not counted, and neither is what a
trial costs beside its stages.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import chain

import torch

from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.searchers import GridSearchConfig
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.errors import ConfigError
from orchestrator.pipelines.planning.plan import (
    KINDS,
    Kind,
    PlannedStage,
    StageState,
    measurements,
    planned_stage,
    seconds_per_image_pass,
    tables_of,
)
from orchestrator.pipelines.sweep.setting import sampler_of
from orchestrator.stages import Preparation, check_backbones
from orchestrator.stages.retention import newest_keys
from orchestrator.tuning.share import TrialShare
from orchestrator.tuning.space import Configuration, Space

# Of larger sweeps so many trials are looked at; the rest is extrapolated.
MAX_TRIALS = 200
# So many combinations of a grid are counted.
MAX_COMBINATIONS = 5000

TrialStages = Sequence[Sequence[PlannedStage]]
"""What a trial learns, seed by seed, as if nothing were stored."""


@dataclass(frozen=True)
class SweepCost:
    """What trials cost together.

    Attributes:
        num_stages: How many stages they compute.
        worker_seconds: Of these stages; None when nothing is known of some.
        wall_seconds: Until the last trial ends; None when that is not known, or how many trials fit
            at once.
    """

    num_stages: int
    worker_seconds: float | None
    wall_seconds: float | None


@dataclass(frozen=True)
class TrialRoom:
    """What a trial takes, and what there is.

    Attributes:
        share: What one trial takes.
        available: CPUs and GPUs of this machine, in Ray's names; empty when a cluster elsewhere
            would compute.
        num_at_once: How many trials compute beside each other; None when that depends on a cluster
            elsewhere, 0 when none fits.
        shortage: Why none fits; empty when nothing is known against it.
    """

    share: TrialShare
    available: Mapping[str, float]
    num_at_once: int | None
    shortage: str


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep would do.

    Attributes:
        search_space: What varies.
        experiment: What is the same for all trials.
        num_trials: How many trials there will be.
        has_more_combinations: Whether a grid goes on after those.
        num_planned: How many of them were looked at; the figures are extrapolated from these.
        by_themselves: If each trial computed all its stages itself.
        shared: If each stage were computed once, whoever needs it.
        left: The same without what the store has.
        room: How many trials fit.
        kinds_without_estimate: What has to be computed of which nothing in the store tells what it
            costs.
    """

    search_space: SearchSpace
    experiment: Experiment
    num_trials: int
    has_more_combinations: bool
    num_planned: int
    by_themselves: SweepCost
    shared: SweepCost
    left: SweepCost
    room: TrialRoom
    kinds_without_estimate: Sequence[Kind]


def plan_sweep(search_space: SearchSpace, experiment: Experiment) -> SweepPlan:
    """Finds out what a sweep would do. Only decoded images may be written, to the data cache.

    A grid is taken as it is. Other searchers draw at random what they would draw without any
    results.

    Raises:
        UserInputError: Space, experiment, data, backbones or store address cannot be used.
        StorageUnavailableError: The data cache, the store or the ledger of a warm start cannot be
            reached.
    """
    preparation = Preparation()
    work = preparation.work_of(experiment)
    check_backbones(experiment, work.scenario)
    space = Space(search_space, experiment)
    configurations, has_more = _configurations(space)
    is_grid = isinstance(search_space.searcher, GridSearchConfig)
    num_trials = len(configurations) if is_grid else search_space.num_trials or 0
    chosen = (
        configurations
        if len(configurations) <= MAX_TRIALS
        else random.Random(0).sample(configurations, MAX_TRIALS)  # noqa: S311 - no secrets
    )
    costs = seconds_per_image_pass(measurements(work.store, experiment.teacher.backbone))
    trials = _trials(space, chosen, preparation, costs)
    stored = frozenset(newest_keys(work.store, sys.maxsize))
    room = _room(experiment.execution, search_space.max_concurrent_trials)
    return SweepPlan(
        search_space,
        experiment,
        num_trials,
        has_more,
        len(chosen),
        by_themselves=_extrapolated(trials, num_trials, room, is_shared=False),
        shared=_extrapolated(trials, num_trials, room),
        left=_extrapolated(trials, num_trials, room, stored),
        room=room,
        kinds_without_estimate=_kinds_without_estimate(trials, stored),
    )


# --- the arithmetic -------------------------------------------------------------------------------


def sweep_cost(
    trials: Sequence[TrialStages],
    room: TrialRoom,
    stored: Set[str] = frozenset(),
    is_shared: bool = True,
) -> SweepCost:
    """What trials cost together.

    Args:
        trials: In the order of their beginning.
        room: How many fit at once, and whether a trial learns in lanes.
        stored: Keys of stages, and tables of features, that cost nothing.
        is_shared: Whether a trial takes the stages that another one has computed.
    """
    computed: list[PlannedStage] = []
    ready = dict.fromkeys(stored, 0.0)
    free = [0.0] * max(1, min(room.num_at_once or 1, len(trials)))
    heapify(free)
    for seeds in trials:
        ends = heappop(free)
        known = ready if is_shared else dict.fromkeys(stored, 0.0)
        for stages in seeds if room.share.in_lanes else [_in_turn(seeds)]:
            ends = _end_of(stages, ends, room.share.in_lanes, known, computed)
        heappush(free, ends)
    costs = [stage.worker_seconds for stage in computed if stage.worker_seconds is not None]
    if len(costs) < len(computed):
        return SweepCost(len(computed), None, None)
    return SweepCost(len(computed), sum(costs), max(free) if room.num_at_once else None)


def _in_turn(seeds: TrialStages) -> list[PlannedStage]:
    """One process learns a task with every seed, teacher then student, before it turns to the next
    task.
    """
    return sorted(chain.from_iterable(seeds), key=lambda planned: planned.stage.task.index)


def _end_of(
    stages: Sequence[PlannedStage],
    start: float,
    in_lanes: bool,
    ready: dict[str, float],
    computed: list[PlannedStage],
) -> float:
    """When the last of a trial's stages is there. What it computes is added to `computed`, and to
    `ready` when it is.
    """
    ended: dict[str, float] = {}
    for planned in stages:
        stage = planned.stage
        lane = stage.role if in_lanes else "process"
        begins = max([ended.get(lane, start), *(ready.get(key, 0.0) for key in stage.upstream)])
        if stage.key not in ready:
            begins = max([begins, *(ready.get(table.key, 0.0) for table in planned.tables)])
            left = planned.without_tables(ready)
            computed.append(left)
            ready[stage.key] = begins + (left.seconds or 0.0)
            ready |= {table.key: ready[stage.key] for table in left.tables}
        ended[lane] = max(begins, ready[stage.key])
    return max(ended.values(), default=start)


def _extrapolated(
    trials: Sequence[TrialStages],
    num_trials: int,
    room: TrialRoom,
    stored: Set[str] = frozenset(),
    is_shared: bool = True,
) -> SweepCost:
    """The cost of more trials than are known: each further one adds what those of the second half
    have added.

    What all trials share has come up in the first half, and is not counted again.
    """
    whole = sweep_cost(trials, room, stored, is_shared)
    if num_trials == len(trials):
        return whole
    half = sweep_cost(trials[: len(trials) // 2], room, stored, is_shared)
    halves = (num_trials - len(trials)) / (len(trials) - len(trials) // 2)

    def further(of_half: float | None, of_whole: float | None) -> float | None:
        return (
            None
            if of_half is None or of_whole is None
            else of_whole + (of_whole - of_half) * halves
        )

    return SweepCost(
        round(whole.num_stages + (whole.num_stages - half.num_stages) * halves),
        further(half.worker_seconds, whole.worker_seconds),
        further(half.wall_seconds, whole.wall_seconds),
    )


def _kinds_without_estimate(trials: Sequence[TrialStages], stored: Set[str]) -> list[Kind]:
    stages = [
        planned
        for seeds in trials
        for stages in seeds
        for planned in stages
        if planned.stage.key not in stored
    ]
    unknown = set().union(
        *(planned.without_tables(stored).kinds_without_estimate for planned in stages)
    )
    return [kind for kind in KINDS if kind in unknown]


# --- what there will be ---------------------------------------------------------------------------


def _configurations(space: Space) -> tuple[list[Configuration], bool]:
    """The configurations to look at, or all those of a grid, and whether a grid goes on after
    them.
    """
    search_space = space.search_space
    sampler = sampler_of(space)
    is_grid = isinstance(search_space.searcher, GridSearchConfig)
    limit = MAX_COMBINATIONS if is_grid else MAX_TRIALS
    wanted = min(limit, search_space.num_trials or limit)
    found: list[Configuration] = []
    while len(found) < wanted and (configuration := sampler.ask()) is not None:
        if (
            not is_grid and configuration in found
        ):  # there seems to be no other: further trials repeat these, and asking takes long
            found += random.Random(0).choices(found, k=wanted - len(found))  # noqa: S311 - no secrets
            break
        found.append(configuration)
    is_cut = is_grid and len(found) == limit and search_space.num_trials != limit
    return found, is_cut and sampler.ask() is not None


def _trials(
    space: Space,
    configurations: Sequence[Configuration],
    preparation: Preparation,
    costs: Mapping[Kind, float],
) -> list[TrialStages]:
    def stages_of(experiment: Experiment) -> list[PlannedStage]:
        work = preparation.work_of(experiment)
        tables = tables_of(work)
        return [
            planned_stage(stage, work, costs, StageState.TO_COMPUTE, tables)
            for stage in work.stages
        ]

    return [
        [stages_of(experiment) for experiment in space.experiments_of(found.parameters)]
        for found in configurations
    ]


def _room(execution: ExecutionConfig, most: int | None) -> TrialRoom:
    """How many trials fit on this machine; nothing is asked of a cluster elsewhere."""
    share = TrialShare.of(execution)
    if isinstance(execution, RayConfig) and execution.address is not None:
        return TrialRoom(share, {}, most, "")
    available: dict[str, float] = {"CPU": cpus_of_this_machine(), "GPU": torch.cuda.device_count()}
    try:
        num_that_fit = share.num_that_fit(available, "this machine")
    except ConfigError as error:
        return TrialRoom(share, available, 0, str(error))
    return TrialRoom(share, available, min(num_that_fit, most or num_that_fit), "")
