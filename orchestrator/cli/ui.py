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
            min=0,
            max=65535,
            metavar="N",
            help="Port of the MLflow UI on 127.0.0.1; 0 chooses a free port.",
        ),
    ] = 5000,
    sweep: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help=(
                "Print the link to this sweep's page in the dashboard. The first characters of its"
                " id are enough."
            ),
        ),
    ] = "",
    storage: Annotated[
        str,
        typer.Option(
            envvar=STORAGE_VARIABLE, metavar="URI", help="The Optuna storage that holds the sweeps."
        ),
    ] = DEFAULT_STORAGE,
    dashboard_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Port of the dashboard on 127.0.0.1; 0 chooses a free port.",
        ),
    ] = 8080,
) -> None:
    """Start the MLflow UI and Optuna's dashboard on this machine, and print their links.

    The links lead to the runs and saved views in MLflow, and to the sweeps in the dashboard, which
    shows a sweep while it runs. The dashboard is an optional extra: `pip install '.[dashboard]'` in
    the checkout.

    Ctrl-C stops both. If `--tracking-uri` is an MLflow server, the command starts no MLflow UI and
    prints the address of that server.

    Examples:
    `orchestrator ui`

    `orchestrator ui --sweep 3f2a9c1e`

    `orchestrator ui --tracking-uri sqlite:////data/mlflow.db --port 5001`
    """
    from orchestrator.terminal.ui import Sweeps, show_ui

    show_ui(tracking_uri, port, Sweeps(storage, sweep, dashboard_port))
