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
            help="Plan a sweep of the experiment over this search space.",
        ),
    ] = None,
    cuts: Annotated[
        bool,
        typer.Option(
            "--cuts",
            help=(
                "Also list every stage of the teacher's backbone up to which a student could"
                " inherit layers, with the student's parameters, multiply-adds and latency."
            ),
        ),
    ] = False,
) -> None:
    """Show what a run or a sweep would compute, reuse and cost, without starting it.

    The time estimates come from measured stages in the same stage store: seconds per epoch and
    training image, scaled by the multiply-adds if network or image size differ. Each estimate is
    rough and given as a range.

    With `--cuts`, a table lists the size and cost of a student with `student.backbone: {kind:
    inherited, until: STAGE}` for each stage of the teacher's backbone. Multiply-adds are per image;
    latency is measured on this machine with one thread.

    Examples:
    `orchestrator plan experiments/digits.yaml`

    `orchestrator plan experiments/digits.yaml --set student.training.epochs=80 --set
    execution.student.num_train_workers=2`

    `orchestrator plan experiments/cifar10_pretrained.yaml --cuts`

    `orchestrator plan experiments/digits.yaml --search-space search_spaces/tssr_thresholds.yaml`
    """
    if cuts and search_space is not None:
        raise UserInputError(
            "--cuts is for one experiment, not for a sweep", next_step="omit --search-space"
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
