"""`orchestrator run`: run an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import ExperimentFile, Overrides


def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for summary.json and figures. Default: out/NAME-RUN_ID."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the run in MLflow. Default: made from experiment name, method and seed.",
        ),
    ] = None,
) -> None:
    """Run an experiment: train the teacher task by task, distil the student, track all in MLflow.

    The command shows progress while it runs. At the end it prints both accuracy matrices, the final
    metrics, the path of summary.json and the command that opens the run in the MLflow UI.

    Stages that another run has already computed are reused from the stage store. After Ctrl-C or a
    crash, run the same command again: it reuses the finished stages.

    Examples:
    `orchestrator run experiments/digits.yaml`

    `orchestrator run experiments/digits.yaml --set seed=1 --set scenario.max_images_per_class=10`

    `orchestrator run experiments/digits.yaml --set method.kind=finetuning --output out/finetuning`
    """
    from orchestrator.config import load_experiment

    loaded = load_experiment(experiment, overrides or [])
    if loaded.execution.kind == "ray":
        from orchestrator.distributed.resources import check_room

        check_room(loaded.execution)  # report errors before slow imports

    from orchestrator.pipelines.run.run import run as run_experiment
    from orchestrator.terminal.listeners import run_listener

    listener = run_listener()
    try:
        run_experiment(loaded, output, name=name, listener=listener)
    finally:
        listener.close()
