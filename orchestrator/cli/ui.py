"""`orchestrator ui`: show runs in MLflow and sweeps in Optuna's dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORAGE, DEFAULT_TRACKING_URI, TrackingUri
from orchestrator.config.addresses import STORAGE_VARIABLE


def ui(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="N", help="Where to listen on 127.0.0.1; 0 takes a free port."
        ),
    ] = 5000,
    sweep: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Print the dashboard's page of this sweep; first letters are enough."
        ),
    ] = "",
    storage: Annotated[
        str,
        typer.Option(
            envvar=STORAGE_VARIABLE, metavar="URI", help="Optuna storage with the sweeps."
        ),
    ] = DEFAULT_STORAGE,
    dashboard_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="N", help="Where the dashboard listens; 0 takes a free port."
        ),
    ] = 8080,
) -> None:
    """Show the runs in MLflow and the sweeps in Optuna's dashboard: start both servers on this
    machine, print the links to the runs, to the saved views and to the sweeps.

    The dashboard shows a sweep while it runs. It is an optional extra; in a checkout:
    `pip install '.[dashboard]'`.

    Ctrl-C ends both. Where the store is an MLflow server, the address of its pages is printed
    instead.

    Examples:
    `orchestrator ui`

    `orchestrator ui --sweep 3f2a9c1e`

    `orchestrator ui --tracking-uri sqlite:////data/mlflow.db --port 5001`
    """
    from orchestrator.terminal.ui import Sweeps, show_ui

    show_ui(tracking_uri, port, Sweeps(storage, sweep, dashboard_port))
