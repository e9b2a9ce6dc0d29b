"""Estimate the cost of a sweep's trials if trials run in parallel on the available resources."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import chain

from orchestrator.pipelines.planning.cost import KINDS, Kind
from orchestrator.pipelines.planning.planned_stages import (
    PlannedStage,
)
from orchestrator.tuning.share import TrialRoom

TrialStages = Sequence[Sequence[PlannedStage]]
"""The stages of one trial: for each seed, the stages as planned for an empty store."""


@dataclass(frozen=True)
class SweepCost:
    """Total cost of trials.

    Attributes:
        num_stages: Number of stages that must be computed.
        worker_seconds: Worker-seconds of these stages; None if the cost of a stage is unknown.
        wall_seconds: Seconds from the start of the sweep until the last trial ends; None if the
            cost of a stage or the number of parallel trials is unknown.
    """

    num_stages: int
    worker_seconds: float | None
    wall_seconds: float | None


def sweep_cost(
    trials: Sequence[TrialStages],
    room: TrialRoom,
    stored: Set[str] = frozenset(),
    is_shared: bool = True,
) -> SweepCost:
    """Return the total cost of trials.

    Args:
        trials: The trials, in the order of their start.
        room: The number of parallel trials, and whether separate workers of each role (lanes)
            compute a trial's stages.
        stored: Keys of stages and feature tables that are stored already and cost nothing.
        is_shared: Whether trials reuse stages that other trials have computed.
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
    """Return a trial's stages in the order in which a single process computes them: sorted by task,
    then by seed, and the teacher before the student.
    """
    return sorted(chain.from_iterable(seeds), key=lambda planned: planned.stage.task.index)


def _end_of(
    stages: Sequence[PlannedStage],
    start: float,
    in_lanes: bool,
    ready: dict[str, float],
    computed: list[PlannedStage],
) -> float:
    """Simulate the stages of a trial, and return the time at which the last stage is finished.

    Args:
        stages: The stages, in an order in which they can be computed.
        start: Time at which the trial starts.
        in_lanes: Whether teacher and student stages are computed in parallel.
        ready: Times at which stages and tables become available, by key; the stages and tables of
            this trial are added.
        computed: List to which the stages that this trial computes are appended.
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
    """Return the cost of more trials than the given trials. Assume that each additional trial costs
    as much as the average trial in the second half of the given trials.

    Stages that all trials share are computed in the first half, so these stages are not counted
    again for additional trials.
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
