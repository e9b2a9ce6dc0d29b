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
            help="The id that MLflow shows, or its first letters; or a retraining file.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Default: out/reports/NAME-ID.html; of a retraining out/reports/NAME.html.",
        ),
    ] = None,
    overrides: Overrides = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write the report of a run, a sweep or a retraining: one HTML file with everything in it, to
    be mailed, printed or kept.

    Of a run: the final numbers, both accuracy matrices, curves, cost, what was configured, and how
    it stands beside other methods on the same data. Of a sweep: the leaderboard, which parameters
    matter, cost, and what sharing saved. A run that still goes on, or has failed, gives a report of
    what there is. The file needs no network, follows the reader's light or dark, and its path is
    printed.

    Of a retraining: its history. The champion, the last 30 days, what needs a person, all versions
    with their verdicts, what arrived, and the accuracy of each class over time. The file says in
    which MLflow store it is; `--set` overrides it as for `orchestrator retrain`.

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
            "--set changes a retraining file, and this is the id of a run",
            where=what,
            next_step="leave --set out, or name RETRAINING.yaml",
        )
    from orchestrator.pipelines.records.report import report as write_report

    say(write_report(what, tracking_uri, output))
