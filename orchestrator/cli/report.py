"""`orchestrator report`: write the report of a run or a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri


def report(
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_SWEEP_ID", help="The id that MLflow shows, or its first letters."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Default: out/reports/NAME-ID.html.")
    ] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write the report of a run or a sweep: one HTML file with everything in it, to be mailed,
    printed or kept.

    Of a run: the final numbers, both accuracy matrices, curves, cost, what was configured, and how
    it stands beside other methods on the same data. Of a sweep: the leaderboard, which parameters
    matter, cost, and what sharing saved. A run that still goes on, or has failed, gives a report of
    what there is. The file needs no network, follows the reader's light or dark, and its path is
    printed.

    Examples:
    `orchestrator report 3f2a9c1e`

    `orchestrator report 3f2a9c1e --output report.html --tracking-uri http://mlflow:5000`
    """
    from orchestrator.pipelines.records.report import report as write_report

    typer.echo(write_report(run_id, tracking_uri, output))
