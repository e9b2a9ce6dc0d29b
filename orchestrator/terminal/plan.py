"""What a person sees of a plan, of a run or of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from rich.console import Console
from rich.table import Table

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.config.searchers import GridSearchConfig, OptunaSearchConfig, RandomSearchConfig
from orchestrator.distributed.resources import lanes_of
from orchestrator.pipelines.planning.cost import Kind
from orchestrator.pipelines.planning.plan import Plan
from orchestrator.pipelines.planning.planned_stages import PlannedStage, StageState
from orchestrator.pipelines.planning.sweep_plan import SweepPlan
from orchestrator.reporting.quantities import count, duration, size
from orchestrator.terminal.cuts import cut_line, cuts_table
from orchestrator.terminal.unlabeled import unlabeled_lines

_CERTAIN = 1.05


def show_plan(plan: Plan, console: Console) -> None:
    """Says what a run would compute, roughly how long that takes, and whether there is room for
    it.
    """
    console.print(plan_table(plan))
    for line in plan_lines(plan):
        console.print(line, soft_wrap=True)


def show_cuts(plan: Plan, console: Console) -> None:
    """Show the table of a plan's cuts, if it has any."""
    if plan.cuts is not None:
        console.print(cuts_table(plan.cuts, plan.chosen_cut))


def plan_table(plan: Plan) -> Table:
    """One row a stage: what it learns from, its key, whether it is stored, and roughly how long it
    takes.
    """
    title = (
        f"{plan.work.experiment.name}: {plan.work.experiment.method.kind}, seed"
        f" {plan.work.experiment.seed}"
    )
    table = Table(title=title, title_justify="left")
    for column in ("stage", "new classes", "training images", "key", "state", "estimated seconds"):
        table.add_column(
            column,
            justify="right" if column in {"training images", "estimated seconds"} else "left",
        )
    for planned in plan.stages:
        stage = planned.stage
        classes = ", ".join(plan.work.scenario.class_names[c] for c in stage.task.new_classes)
        table.add_row(
            stage.name,
            classes,
            f"{planned.num_images:,}",
            stage.key[:12],
            planned.state.value,
            _estimate(planned),
        )
    return table


def plan_lines(plan: Plan) -> list[str]:
    """The sums: stages, cost, resources; and what stands against the run."""
    counts = ", ".join(f"{plan.num_in(state)} {state}" for state in StageState)
    lines = [f"stages     {counts}"]
    lines += [
        f"unlabeled  {line}" for line in unlabeled_lines(plan.work.experiment, plan.work.scenario)
    ]
    if plan.cuts is not None and plan.chosen_cut is not None:
        lines.append(f"student    {cut_line(plan.cuts, plan.chosen_cut)}")
    if plan.num_unseen_images:
        lines.append(f"features   {_features(plan)}")
    if plan.worker_seconds is not None and plan.wall_seconds is not None:
        how = (
            "both lanes at the same time, the start of Ray not counted"
            if _is_on_ray(plan)
            else "one stage after another"
        )
        lines.append(
            f"cost       roughly {duration(plan.worker_seconds)} of workers,"
            f" {duration(plan.wall_seconds)} of wall time: {how}"
        )
        if plan.cost_factor > _CERTAIN and plan.wall_seconds > 0:
            low, high = plan.wall_seconds / plan.cost_factor, plan.wall_seconds * plan.cost_factor
            lines.append(
                f"cost       {duration(low)} to {duration(high)} of wall time: what the store has"
                " measured varies, or is of other networks or sizes of images"
            )
    lines += _lines_without_estimate(plan.kinds_without_estimate)
    lines.append(f"resources  {_resources(plan)}")
    if plan.shortage:
        lines.append(f"no room    {plan.shortage}")
    return lines


def _features(plan: Plan) -> str:
    rate = plan.images_per_second
    # slow extractors need a digit behind the point
    speed = "" if rate is None else f", {rate:,.{0 if rate >= 10 else 1}f} images a second a worker"
    return (
        f"{count(plan.num_unseen_images)} images that the pre-trained extractor looks at, once for"
        f" all runs: {size(plan.features_bytes)} of tables in half precision{speed}"
    )


def _lines_without_estimate(kinds: Sequence[Kind]) -> list[str]:
    what = {
        kind: "table of this extractor's features" if kind == "features" else "stage of this role"
        for kind in kinds
    }
    return [
        f"cost       {kind}: no measured {what[kind]} in the store: no estimate" for kind in kinds
    ]


def _estimate(planned: PlannedStage) -> str:
    if planned.state is StageState.STORED:
        return ""
    return "no estimate" if planned.seconds is None else f"{planned.seconds:,.1f}"


def _is_on_ray(plan: Plan) -> bool:
    return isinstance(plan.work.experiment.execution, RayConfig)


def _resources(plan: Plan) -> str:
    execution = plan.work.experiment.execution
    if not isinstance(execution, RayConfig):
        return f"this process; this machine has {_amounts(plan.available)}"
    lanes = ", ".join(f"{role} lane {_lane(lane)}" for role, lane in lanes_of(execution).items())
    has = (
        f"this machine has {_amounts(plan.available)}"
        if plan.available
        else _asked_later(execution, "run")
    )
    return f"{lanes}; {has}"


def _lane(lane: LaneConfig) -> str:
    low, high = lane.min_train_workers, lane.max_train_workers
    return (
        f"{low if low == high else f'{low} to {high}'} x"
        f" {_amounts(lane.resources_per_worker, ' + ')}"
    )


def _amounts(resources: Mapping[str, float], separator: str = " and ") -> str:
    return separator.join(f"{number:g} {name}" for name, number in resources.items())


def _asked_later(execution: RayConfig, who: str) -> str:
    return f"the cluster at {execution.address} is asked when the {who} starts"


# --- a sweep --------------------------------------------------------------------------------------


def show_sweep_plan(plan: SweepPlan, console: Console) -> None:
    """Says how many stages the trials of a sweep have in common, roughly how long the rest takes,
    and how many trials fit.
    """
    console.print(sweep_plan_table(plan))
    for line in sweep_plan_lines(plan):
        console.print(line, soft_wrap=True)


def sweep_plan_table(plan: SweepPlan) -> Table:
    """Stages and their cost: each trial by itself, shared between trials, and what is left of
    that.
    """
    table = Table(
        title=f"{plan.search_space.name}: {plan.num_trials:,} trials of {plan.experiment.name}",
        title_justify="left",
    )
    for column in ("computed are", "stages", "worker time", "wall time"):
        table.add_column(column, justify="left" if column == "computed are" else "right")
    for what, cost in {
        "all stages by each trial": plan.by_themselves,
        "shared stages once": plan.shared,
        "of these, what is not stored": plan.left,
    }.items():
        table.add_row(
            what, f"{cost.num_stages:,}", _roughly(cost.worker_seconds), _roughly(cost.wall_seconds)
        )
    return table


def sweep_plan_lines(plan: SweepPlan) -> list[str]:
    """Where the figures come from, what one trial needs, and how many fit; and what stands against
    the sweep.
    """
    space, num_stored = plan.search_space, plan.shared.num_stages - plan.left.num_stages
    lines = [f"trials     {_trials(plan)}"]
    if plan.has_more_combinations:
        lines.append(
            f"trials     the grid has more than these {plan.num_trials:,} combinations: what"
            " follows them is not counted"
        )
    if plan.num_planned < plan.num_trials:
        lines.append(
            f"trials     {plan.num_planned} of them were looked at, the figures are extrapolated"
            " from these"
        )
    lines.append(
        f"stages     {plan.shared.num_stages:,} different ones, {num_stored:,} stored,"
        f" {plan.left.num_stages:,} to compute"
    )
    if plan.left.wall_seconds is not None:
        lines.append("cost       rough; the start of Ray and of each trial is not counted")
    lines += _lines_without_estimate(plan.kinds_without_estimate)
    if space.trial_scheduler.kind == "pbt":
        lines.append("cost       variations of good trials, made by pbt, are not counted")
    elif space.trial_scheduler.kind != "none":
        lines.append(
            f"cost       every trial is counted to its end: {space.trial_scheduler.kind} stops some"
            " earlier"
        )
    limits = {"wall time": space.budget.wall_seconds, "worker time": space.budget.worker_seconds}
    lines += [
        f"budget     the sweep ends after {duration(seconds)} of {what}"
        for what, seconds in limits.items()
        if seconds is not None
    ]
    lines.append(f"resources  {_trial_resources(plan)}")
    if plan.room.shortage:
        lines.append(f"no room    {plan.room.shortage}")
    return lines


def _trials(plan: SweepPlan) -> str:
    space = plan.search_space
    number = f"{plan.num_trials:,}" + (
        f" with {len(space.seeds)} seeds each" if space.seeds and len(space.seeds) > 1 else ""
    )
    match space.searcher:
        case GridSearchConfig():
            is_all = not plan.has_more_combinations and (
                space.num_trials is None or plan.num_trials < space.num_trials
            )
            return (
                f"{number}: {'every combination' if is_all else 'the first combinations'} of the"
                " grid"
            )
        case RandomSearchConfig():
            return f"{number}: drawn at random, as the sweep draws them"
        case OptunaSearchConfig():
            return (
                f"{number}: drawn at random here, always the same ones; what the sweep draws"
                " depends on its results"
            )
        case _:
            assert_never(space.searcher)


def _trial_resources(plan: SweepPlan) -> str:
    execution, room = plan.experiment.execution, plan.room
    needs = (
        "a trial takes"
        f" {_amounts(room.share.resources, ' + ')}{' in lanes' if room.share.in_lanes else ''}"
    )
    has = (
        _asked_later(execution, "sweep")
        if isinstance(execution, RayConfig) and execution.address
        else f"this machine has {_amounts(room.available)}"
    )
    return f"{needs}; {has}" + ("" if room.num_at_once is None else f"; {room.num_at_once} at once")


def _roughly(seconds: float | None) -> str:
    return "no estimate" if seconds is None else duration(seconds)
