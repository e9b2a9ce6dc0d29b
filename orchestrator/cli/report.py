"""`orchestrator report`: write the report of a run, a sweep or a retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, Overrides, TrackingUri
from orchestrator.errors import UserInputError
from orchestrator.terminal.printable import say


def report(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_SWEEP_ID|RETRAINING.yaml",
            help="A run's or sweep's id in MLflow, or its first characters; or a retraining file.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help=(
                "The file to write. Default: out/reports/NAME-ID.html, or out/reports/NAME.html for"
                " a retraining."
            ),
        ),
    ] = None,
    overrides: Overrides = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write the report of a run, a sweep or a retraining as one HTML file, and print its path.

    The file contains everything it needs, so you can mail it, print it or archive it, and it opens
    without a network.

    The report of a run shows the final metrics, both accuracy matrices, curves, cost, the
    configuration, and other methods on the same data for comparison. The report of a sweep shows
    the leaderboard, the importance of each parameter, the cost, and what shared stages saved. A run
    that is still running or has failed gets a report of the results so far.

    The report of a retraining shows its history: the champion, the last 30 days, decisions that
    wait for a person, all versions with their verdicts, the arrived files, and the accuracy of each
    class over time. The retraining file names the MLflow store; `--set` overrides its values as in
    `orchestrator retrain`.

    Examples:
    `orchestrator report 3f2a9c1e`

    `orchestrator report 3f2a9c1e --output report.html --tracking-uri http://mlflow:5000`

    `orchestrator report experiments/retraining_digits.yaml --output history.html`
    """
    if what.endswith((".yaml", ".yml")):
        from orchestrator.config import load_retraining

        loaded = load_retraining(what, overrides or [])

        from orchestrator.pipelines.retraining.report import report_retraining

        say(report_retraining(loaded, Path(what), output))
        return
    if overrides:
        raise UserInputError(
            "--set changes a retraining file, not a run or a sweep",
            where=what,
            next_step="omit --set, or name RETRAINING.yaml",
        )
    from orchestrator.pipelines.records.report import report as write_report

    say(write_report(what, tracking_uri, output))
