"""Show the plan of a run or a sweep: which stages would be computed, at which estimated cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, assert_never

from rich.console import Console
from rich.table import Table

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.config.searchers import GridSearchConfig, OptunaSearchConfig, RandomSearchConfig
from orchestrator.distributed.resources import lanes_of
from orchestrator.pipelines.planning.cost import Kind
from orchestrator.pipelines.planning.plan import Plan
from orchestrator.pipelines.planning.planned_stages import PlannedStage, StageState
from orchestrator.reporting.quantities import count, duration, size
from orchestrator.terminal.cuts import cut_line, cuts_table
from orchestrator.terminal.unlabeled import unlabeled_lines

if TYPE_CHECKING:  # `sweep_plan` loads torch, which is not needed to show the plan of a run
    from orchestrator.pipelines.planning.sweep_plan import SweepPlan

_CERTAIN = 1.05


def show_plan(plan: Plan, console: Console) -> None:
    """Show which stages a run would compute, a rough estimate of its time, and whether the
    machine's resources suffice.
    """
    console.print(plan_table(plan))
    for line in plan_lines(plan):
        console.print(line, soft_wrap=True)


def show_cuts(plan: Plan, console: Console) -> None:
    """Show a table of the cuts of the teacher's backbone. A cut is a stage (group of layers) that
    can be the last one that a student inherits. Show nothing if the plan has no cuts.
    """
    if plan.cuts is not None:
        console.print(cuts_table(plan.cuts, plan.chosen_cut))


def plan_table(plan: Plan) -> Table:
    """Return a table of the plan of a run, with one row per stage: new classes, number of training
    images, key in the stage store, state, and a rough estimate of the time.
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
    """Return lines that sum up the plan of a run: the number of stages, the estimated worker time
    and wall time, and the resources. A last line follows if the machine has too few resources.
    """
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
            "both lanes in parallel, without the start of Ray"
            if _is_on_ray(plan)
            else "one stage after another"
        )
        lines.append(
            f"cost       roughly {duration(plan.worker_seconds)} of worker time,"
            f" {duration(plan.wall_seconds)} of wall time: {how}"
        )
        if plan.cost_factor > _CERTAIN and plan.wall_seconds > 0:
            low, high = plan.wall_seconds / plan.cost_factor, plan.wall_seconds * plan.cost_factor
            lines.append(
                f"cost       {duration(low)} to {duration(high)} of wall time: the measured stages"
                " vary, or have other networks or image sizes"
            )
    lines += _lines_without_estimate(plan.kinds_without_estimate)
    lines.append(f"resources  {_resources(plan)}")
    if plan.shortage:
        lines.append(f"no room    {plan.shortage}")
    return lines


def _features(plan: Plan) -> str:
    rate = plan.images_per_second
    # A rate below 10 images/s is shown with one decimal, a higher rate as a whole number.
    speed = "" if rate is None else f", {rate:,.{0 if rate >= 10 else 1}f} images/s per worker"
    return (
        f"{count(plan.num_unseen_images)} images to process by the pre-trained extractor, once for"
        f" all runs: {size(plan.features_bytes)} of tables in half precision{speed}"
    )


def _lines_without_estimate(kinds: Sequence[Kind]) -> list[str]:
    what = {
        "features": "table of this extractor's features",
        "extraction": "features by layers that the student inherits",
        "teaching": "training of inherited layers",
    }
    return [
        f"cost       {kind}: no estimate, as no measured {what.get(kind, 'stage of this role')} is"
        " in the store"
        for kind in kinds
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
    return f"the cluster at {execution.address} is checked when the {who} starts"


# --- plan of a sweep ------------------------------------------------------------------------------


def show_sweep_plan(plan: SweepPlan, console: Console) -> None:
    """Show how many stages the trials of a sweep share, a rough estimate of the remaining time, and
    how many trials run at once.
    """
    console.print(sweep_plan_table(plan))
    for line in sweep_plan_lines(plan):
        console.print(line, soft_wrap=True)


def sweep_plan_table(plan: SweepPlan) -> Table:
    """Return a table with the number and the estimated time of a sweep's stages. The first row
    counts every stage of every trial. The second row counts equal stages of several trials only
    once. The third row counts those stages of the second row that are not stored yet.
    """
    table = Table(
        title=f"{plan.search_space.name}: {plan.num_trials:,} trials of {plan.experiment.name}",
        title_justify="left",
    )
    for column in ("computed", "stages", "worker time", "wall time"):
        table.add_column(column, justify="left" if column == "computed" else "right")
    for what, cost in {
        "every stage in every trial": plan.by_themselves,
        "shared stages once": plan.shared,
        "of these, not stored yet": plan.left,
    }.items():
        table.add_row(
            what, f"{cost.num_stages:,}", _roughly(cost.worker_seconds), _roughly(cost.wall_seconds)
        )
    return table


def sweep_plan_lines(plan: SweepPlan) -> list[str]:
    """Return lines that explain the table of a sweep's plan: what the estimates cover, the
    resources of one trial, and how many trials run at once. A last line follows if resources are
    short.
    """
    space, num_stored = plan.search_space, plan.shared.num_stages - plan.left.num_stages
    lines = [f"trials     {_trials(plan)}"]
    if plan.has_more_combinations:
        lines.append(
            f"trials     the grid has more than these {plan.num_trials:,} combinations: the others"
            " are not counted"
        )
    if plan.num_planned < plan.num_trials:
        lines.append(
            f"trials     {plan.num_planned} of them were planned; the figures for all trials are"
            " extrapolated"
        )
    lines.append(
        f"stages     {plan.shared.num_stages:,} different, {num_stored:,} stored,"
        f" {plan.left.num_stages:,} to compute"
    )
    if plan.left.wall_seconds is not None:
        lines.append("cost       rough; the start of Ray and of each trial is not counted")
    lines += _lines_without_estimate(plan.kinds_without_estimate)
    if space.trial_scheduler.kind == "pbt":
        lines.append("cost       the variations of good trials that pbt makes are not counted")
    elif space.trial_scheduler.kind != "none":
        lines.append(
            f"cost       every trial is counted in full; {space.trial_scheduler.kind} stops some"
            " trials earlier"
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
                f"{number}: drawn at random here, always the same ones; the sweep's own choice"
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
