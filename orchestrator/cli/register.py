"""`orchestrator register`: register a run's models in MLflow."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri
from orchestrator.terminal.printable import say


def register(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="A finished run's id or its first characters.")
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="Name the models NAME-teacher and NAME-student. Default: the experiment's name."
        ),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(help="Give this alias to both versions. May be repeated."),
    ] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Register both models of a run in MLflow's registry, as new versions of named models.

    Runs log their models but do not register them; only a retraining registers its own. If the run
    is registered under this name already, its versions stay as they are. Load a version by its
    number or by an alias, not as "latest". The aliases `champion`, `previous` and `challenger`
    belong to retrainings, which move them automatically.

    Examples:
    `orchestrator register 3f2a9c1e`

    `orchestrator register 3f2a9c1e --name shop --alias served`
    """
    from orchestrator.tracking.reading import existing_store

    existing_store(tracking_uri)  # report errors before the slow import of torch

    from orchestrator.pipelines.registration.register import register as register_run
    from orchestrator.terminal.registration import registration_lines

    for line in registration_lines(register_run(run_id, name, alias or [], tracking_uri)):
        say(line)
