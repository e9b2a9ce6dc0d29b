"""What a person sees of a plan."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.distributed.resources import lanes_of
from orchestrator.pipelines.plan import Plan, PlannedStage, StageState
from orchestrator.terminal.quantities import duration


def show_plan(plan: Plan, console: Console) -> None:
    """Says what a run would compute, roughly how long that takes, and whether there is room for it."""
    console.print(plan_table(plan))
    for line in plan_lines(plan):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def plan_table(plan: Plan) -> Table:
    """One row a stage: what it learns from, its key, whether it is stored, and roughly how long it takes."""
    title = f"{plan.work.experiment.name}: {plan.work.experiment.method.kind}, seed {plan.work.experiment.seed}"
    table = Table(title=title, title_justify="left")
    for column in ("stage", "new classes", "training images", "key", "state", "estimated seconds"):
        table.add_column(column, justify="right" if column in {"training images", "estimated seconds"} else "left")
    for planned in plan.stages:
        stage = planned.stage
        classes = ", ".join(plan.work.scenario.class_names[c] for c in stage.task.new_classes)
        table.add_row(stage.name, classes, f"{planned.num_images:,}", stage.key[:12], planned.state.value, _estimate(planned))
    return table


def plan_lines(plan: Plan) -> list[str]:
    """The sums: stages, cost, resources; and what stands against the run."""
    counts = ", ".join(f"{plan.num_in(state)} {state}" for state in StageState)
    lines = [f"stages     {counts}"]
    if plan.worker_seconds is not None and plan.wall_seconds is not None:
        how = "both lanes at the same time, the start of Ray not counted" if _is_on_ray(plan) else "one stage after another"
        lines.append(f"cost       roughly {duration(plan.worker_seconds)} of workers, {duration(plan.wall_seconds)} of wall time: {how}")
    lines += [f"cost       {role}: no measured stage of this role in the store: no estimate" for role in plan.roles_without_estimate]
    lines.append(f"resources  {_resources(plan)}")
    if plan.shortage:
        lines.append(f"no room    {plan.shortage}")
    return lines


def _estimate(planned: PlannedStage) -> str:
    if planned.state is StageState.STORED:
        return ""
    return "no estimate" if planned.seconds is None else f"{planned.seconds:,.1f}"


def _is_on_ray(plan: Plan) -> bool:
    return isinstance(plan.work.experiment.execution, RayConfig)


def _resources(plan: Plan) -> str:
    execution = plan.work.experiment.execution
    has = " and ".join(f"{number:g} {name}" for name, number in plan.available.items())
    if not isinstance(execution, RayConfig):
        return f"this process; this machine has {has}"
    lanes = ", ".join(f"{role} lane {_lane(lane)}" for role, lane in lanes_of(execution).items())
    return f"{lanes}; " + (f"this machine has {has}" if has else f"the cluster at {execution.address} is asked when the run starts")


def _lane(lane: LaneConfig) -> str:
    low, high = lane.min_train_workers, lane.max_train_workers
    return f"{low if low == high else f'{low} to {high}'} x " + " + ".join(f"{n:g} {name}" for name, n in lane.resources_per_worker.items())
