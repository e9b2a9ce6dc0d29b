"""Commands on what MLflow keeps: report, compare, ui, reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.application import DEFAULT_TRACKING_URI, TrackingUri, app


@app.command()
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


@app.command()
def compare(
    run_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_ID RUN_ID...",
            help="Two runs or more; the first is what they are compared with.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Default: out/reports/compare-IDS.html."),
    ] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write several runs side by side into one HTML file: first what was configured differently,
    then what came of it.

    Final numbers with their differences to the first run, curves of all runs in one chart, accuracy
    matrices with what each has over the first. Where runs learned other data or more tasks, the
    page says so on top.

    Examples:
    `orchestrator compare 3f2a9c1e 77b0d4e2`

    `orchestrator compare 3f2a9c1e 77b0d4e2 91c3aa05 --output comparison.html`
    """
    from orchestrator.pipelines.records.report import compare as write_comparison

    typer.echo(write_comparison(run_ids, tracking_uri, output))


@app.command()
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


@app.command()
def reconcile(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    spool: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Where numbers wait that a tracking store did not take yet."
        ),
    ] = Path(".orchestrator/spool"),
) -> None:
    """Send to MLflow what waits on this machine, and close runs whose process is gone.

    While a tracking store does not answer, runs keep their numbers in the spool; the rest of a run
    that ended meanwhile, or was killed, is sent by this command (and by the next `run` or `sweep`
    with that store). Runs whose process was killed become FAILED, with the reason.

    Exit code 3 when a store still does not answer: what waits for it waits on.

    Examples:
    `orchestrator reconcile`

    `orchestrator reconcile --tracking-uri http://mlflow:5000 --spool /data/spool`
    """
    from orchestrator.pipelines.records.reconcile import reconcile as put_in_order
    from orchestrator.terminal.reconciliation import reconciliation_lines

    found = put_in_order(tracking_uri, spool.absolute())
    for line in reconciliation_lines(found):
        typer.echo(line)
    found.raise_error()
