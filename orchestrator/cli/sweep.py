"""`orchestrator sweep`: run a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Overrides


def sweep(  # noqa: PLR0913, PLR0917 - the command's options
    search_space: Annotated[
        Path,
        typer.Argument(
            metavar="SEARCH_SPACE.yaml",
            help="Parameters to vary, their ranges, and the metric to optimise.",
        ),
    ],
    experiment: Annotated[
        Path,
        typer.Option(
            "--experiment",
            metavar="EXPERIMENT.yaml",
            help="The experiment file that every trial starts from.",
        ),
    ],
    overrides: Overrides = None,
    num_trials: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Number of trials, instead of the search space's number."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Folder for ledger, summary.json, best.yaml and figures. Default: out/sweeps/NAME."
            ),
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=(
                "Resume the sweep in the output folder. You may change budget and search space"
                " before you resume."
            ),
        ),
    ] = False,
    resume_if_begun: Annotated[
        bool,
        typer.Option(
            "--resume-if-begun",
            help="Resume an existing sweep, otherwise start one; for automatic retries.",
        ),
    ] = False,
) -> None:
    """Try many configurations of an experiment in parallel, and find the best.

    Stages that trials share are computed once. The sweep writes a leaderboard, figures, and
    best.yaml, an experiment file that reproduces the best trial when you run it. In MLflow the
    sweep is a run with one child run per trial.

    After a crash, Ctrl-C or a spent budget, add `--resume` to the same command: it continues the
    sweep without repeating finished trials.

    Examples:
    `orchestrator sweep search_spaces/smoke.yaml --experiment experiments/digits.yaml`

    `orchestrator sweep search_spaces/tssr_thresholds.yaml --experiment experiments/digits.yaml
    --num-trials 32 --resume`
    """
    from orchestrator.config import load_experiment, load_search_space

    loaded_space, loaded = (
        load_search_space(search_space, num_trials),
        load_experiment(experiment, overrides or []),
    )

    from orchestrator.pipelines.sweep.beginning import output_folder, read_ledger
    from orchestrator.tuning.share import find_room

    how = None if resume_if_begun else resume
    read_ledger(output_folder(loaded_space, output), how)  # report errors before slow imports
    room = find_room(loaded.execution)

    from orchestrator.pipelines.sweep.sweep import sweep as run_sweep
    from orchestrator.terminal.listeners import sweep_listener

    listener = sweep_listener(loaded.tracking.uri)
    try:
        run_sweep(loaded_space, loaded, output, resume=how, listener=listener, room=room)
    finally:
        listener.close()
