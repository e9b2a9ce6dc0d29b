"""`orchestrator list`: list runs, sweeps, champions and retrainings."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri


def list_records(  # noqa: PLR0913, PLR0917 - the command's options
    kind: Annotated[
        Literal["runs", "sweeps", "champions", "retrainings"] | None,
        typer.Argument(help="The kind of record to list. Default: all kinds.", show_default=False),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="List only this MLflow experiment.")
    ] = None,
    state: Annotated[
        Literal[
            "running",
            "finished",
            "failed",
            "killed",
            "candidate",
            "held",
            "asked",
            "champion",
            "previous",
            "retired",
            "rejected",
            "rolled-back",
            "superseded",
        ]
        | None,
        typer.Option(
            help=(
                "List only this state. The first four are states of runs and sweeps, the others of"
                " model versions."
            )
        ),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="KEY=VALUE",
            help="List only records with this tag in MLflow. May be repeated.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Maximum number of rows of each kind.")
    ] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, for scripts.")
    ] = False,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """List runs, sweeps, champions and the model versions of retrainings, newest first.

    The first columns are arguments of other commands: give a run to `report`, `compare`, `predict`
    or `export`, a sweep to `report`, and a model to `predict` or `export`. The trials of a sweep
    are in its report. Times are in UTC. Accuracies are percentages in the tables and fractions with
    `--json`.

    Examples:
    `orchestrator list`

    `orchestrator list runs --experiment digits --state finished --limit 5`

    `orchestrator list --tag orchestrator.method=finetuning --json`
    """
    from orchestrator.pipelines.records.listing import Filters
    from orchestrator.pipelines.records.listing import list_records as read_records

    wanted = state.replace("-", " ") if state else None
    listing = read_records(Filters(kind, experiment, wanted, tags or [], limit), tracking_uri)
    if as_json:
        typer.echo(json.dumps(listing.as_json(), indent=2, ensure_ascii=False))
        return
    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.listing import show_listing

    show_listing(listing, new_console(140))
