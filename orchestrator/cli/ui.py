"""`orchestrator ui`: show the runs in MLflow."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri


def ui(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="N", help="Where to listen on 127.0.0.1; 0 takes a free port."
        ),
    ] = 5000,
) -> None:
    """Show the runs in MLflow: start its server on this machine, print the links to the runs and to
    the saved views.

    Ctrl-C ends it. Where the store is an MLflow server, nothing is started: the address of its
    pages is printed.

    Examples:
    `orchestrator ui`

    `orchestrator ui --tracking-uri sqlite:////data/mlflow.db --port 5001`
    """
    from orchestrator.terminal.ui import show_ui

    show_ui(tracking_uri, port)
