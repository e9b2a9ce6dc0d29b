"""Plan a sweep: how many stages its trials share, how many stages are stored already, and the
approximate cost of the remaining stages. Nothing is started.

Costs are estimated as in `planning.plan`, and are equally rough. The wall time is simulated: trials
start in the order in which they are drawn, as many in parallel as the resources allow. A trial
waits for a stage that another trial is computing. The simulation ignores the start of Ray and the
overhead of a trial beyond its stages.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.searchers import GridSearchConfig
from orchestrator.distributed.machine import cpus_of_this_machine, gpus_of_this_machine
from orchestrator.errors import ConfigError
from orchestrator.pipelines.planning.cost import Costs, Kind, costs_known
from orchestrator.pipelines.planning.planned_stages import (
    PlannedStage,
    StageState,
    planned_stage,
    tables_of,
)
from orchestrator.pipelines.planning.sweep_cost import (
    SweepCost,
    TrialStages,
    _extrapolated,
    _kinds_without_estimate,
)
from orchestrator.pipelines.sweep.sampling import sampler_of
from orchestrator.stages import Preparation, check_backbones
from orchestrator.stages.backbones import size_of_network, work_of_an_image
from orchestrator.stages.costs_ahead import CostsAhead
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.share import TrialRoom, TrialShare
from orchestrator.tuning.space import Space

# Maximum number of trials whose stages are planned; the costs of larger sweeps are extrapolated.
MAX_TRIALS = 200
# Maximum number of combinations of a grid to enumerate.
MAX_COMBINATIONS = 5000


@dataclass(frozen=True)
class SweepPlan:
    """Plan of a sweep. All costs are in worker-seconds and in wall-clock seconds.

    Attributes:
        search_space: The search space.
        experiment: The experiment that every trial modifies.
        num_trials: Number of trials.
        has_more_combinations: Whether a grid has more combinations than `num_trials`.
        num_planned: Number of planned trials, from which the costs of all trials are extrapolated.
        by_themselves: Cost of all trials if every trial computed all of its stages without reusing
            stored stages.
        shared: Cost of all trials if trials share stages, so that each stage is computed once.
        left: Cost of the stages that are not stored yet, if trials share stages.
        room: Resources of one trial, available resources, and number of trials that can run in
            parallel.
        kinds_without_estimate: Kinds of work without a measured cost in the store.
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
    """Plan a sweep. The only files written are decoded images in the data cache.

    For a grid, plan its combinations. For other searchers, plan trials drawn at random, because
    without results these searchers draw at random too.

    Raises:
        UserInputError: Search space, experiment, data, backbones or store address cannot be used.
        StorageUnavailableError: The data cache, the store or the ledger of a warm start cannot be
            reached.
    """
    preparation = Preparation()
    work = preparation.work_of(experiment)
    check_backbones(experiment, work.scenario)
    space = Space(search_space, experiment, CostsAhead(preparation).of)
    configurations, has_more = _configurations(space)
    is_grid = isinstance(search_space.searcher, GridSearchConfig)
    num_trials = len(configurations) if is_grid else search_space.num_trials or 0
    chosen = (
        configurations
        if len(configurations) <= MAX_TRIALS
        else random.Random(0).sample(configurations, MAX_TRIALS)  # noqa: S311 - no secrets
    )
    costs = costs_known(
        work.store,
        experiment,
        {role: work_of_an_image(experiment, role, work.scenario.shape) for role in ROLES},
        {role: size_of_network(experiment, role, work.scenario.shape) for role in ROLES},
    )
    trials = _trials(space, chosen, preparation, costs)
    stored = work.store.stored(_keys_of(trials)) | costs.computed
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


def _keys_of(trials: Sequence[TrialStages]) -> Iterator[str]:
    """Yield the keys of all stages and feature tables of the trials."""
    for planned in (planned for trial in trials for stages in trial for planned in stages):
        yield planned.stage.key
        yield from (table.key for table in planned.tables)


def _configurations(space: Space) -> tuple[list[Configuration], bool]:
    """Return the configurations to plan, and whether a grid was cut off at MAX_COMBINATIONS.

    For a grid, the configurations are its first combinations: at most `num_trials`, if set, and at
    most MAX_COMBINATIONS. For other searchers, at most MAX_TRIALS configurations are drawn.
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
        ):  # stop drawing: no other configurations seem to exist, and draws take long
            found += random.Random(0).choices(found, k=wanted - len(found))  # noqa: S311 - no secrets
            break
        found.append(configuration)
    is_cut = is_grid and len(found) == limit and search_space.num_trials != limit
    return found, is_cut and sampler.ask() is not None


def _trials(
    space: Space,
    configurations: Sequence[Configuration],
    preparation: Preparation,
    costs: Costs,
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
    """Return the number of trials that can run in parallel on this machine. A remote cluster is not
    contacted.
    """
    share = TrialShare.of(execution)
    if isinstance(execution, RayConfig) and execution.address is not None:
        return TrialRoom(share, {}, most)
    available: dict[str, float] = {"CPU": cpus_of_this_machine(), "GPU": gpus_of_this_machine()}
    try:
        num_that_fit = share.num_that_fit(available, "this machine")
    except ConfigError as error:
        return TrialRoom(share, available, 0, str(error))
    return TrialRoom(share, available, min(num_that_fit, most or num_that_fit))
