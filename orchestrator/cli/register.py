"""`orchestrator register`: make a run's models versions in the registry."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri
from orchestrator.terminal.printable import say


def register(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="A finished run's id or its first letters.")
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="The models are NAME-teacher and NAME-student. Default: the experiment's name."
        ),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(help="Give this alias to both versions; may be repeated."),
    ] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Register both models of a run in MLflow's registry, as new versions under a name that others
    load by.

    Runs log their models and register none; a retraining registers its candidates itself. A run
    that is registered under the name already keeps its version. Refer to a version by its number or
    by an alias, not as "latest". A retraining moves the aliases `champion`, `previous` and
    `challenger` of its models itself.

    Examples:
    `orchestrator register 3f2a9c1e`

    `orchestrator register 3f2a9c1e --name shop --alias served`
    """
    from orchestrator.tracking.reading import existing_store

    existing_store(tracking_uri)  # before torch is loaded

    from orchestrator.pipelines.registration.register import register as register_run
    from orchestrator.terminal.registration import registration_lines

    for line in registration_lines(register_run(run_id, name, alias or [], tracking_uri)):
        say(line)
