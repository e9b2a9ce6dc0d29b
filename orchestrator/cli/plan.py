"""`orchestrator plan`: show what a run or a sweep would compute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import ExperimentFile, Overrides
from orchestrator.errors import UserInputError


def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    search_space: Annotated[
        Path | None,
        typer.Option(
            "--search-space",
            metavar="FILE",
            help="Plan a sweep of this search space over the experiment.",
        ),
    ] = None,
    cuts: Annotated[
        bool,
        typer.Option(
            "--cuts",
            help=(
                "List every stage until which the student could inherit the teacher's layers:"
                " parameters, multiply-adds, latency."
            ),
        ),
    ] = False,
) -> None:
    """Say what a run or a sweep would compute, what is stored already, what it needs and roughly
    costs. Starts nothing.

    Estimates come from the measured times of stages in the same store: seconds per epoch and
    training image, scaled by the multiply-adds where network or image size differ. They are rough,
    and a range says how rough. With `--cuts`, a table follows: the size and the cost of a
    student with `student.backbone: {kind: inherited, until: STAGE}`, for each stage of the
    teacher's backbone. Multiply-adds are those of one image; latency is measured on this machine,
    with one thread.

    Examples:
    `orchestrator plan experiments/digits.yaml`

    `orchestrator plan experiments/digits.yaml --set student.training.epochs=80 --set
    execution.student.num_train_workers=2`

    `orchestrator plan experiments/cifar10_pretrained.yaml --cuts`

    `orchestrator plan experiments/digits.yaml --search-space search_spaces/tssr_thresholds.yaml`
    """
    if cuts and search_space is not None:
        raise UserInputError(
            "--cuts is for one experiment, not for a sweep", next_step="leave --search-space out"
        )

    from orchestrator.config import load_experiment, load_search_space

    loaded_space = None if search_space is None else load_search_space(search_space)
    loaded = load_experiment(experiment, overrides or [])

    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.plan import show_cuts, show_plan, show_sweep_plan

    console = new_console()
    if loaded_space is None:
        from orchestrator.pipelines.planning.plan import plan as plan_experiment

        planned = plan_experiment(loaded, with_cuts=cuts)
        show_plan(planned, console)
        if cuts:
            show_cuts(planned, console)
    else:
        from orchestrator.pipelines.planning.sweep_plan import plan_sweep

        show_sweep_plan(plan_sweep(loaded_space, loaded), console)
