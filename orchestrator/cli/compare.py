"""`orchestrator compare`: write one page that compares several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri
from orchestrator.terminal.printable import say


def compare(
    run_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_ID RUN_ID...",
            help=(
                "Two or more runs, by their ids or the first characters of the ids. The first is"
                " the baseline."
            ),
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="The file to write. Default: out/reports/compare-IDS.html."
        ),
    ] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write one HTML file that compares several runs: their settings first, then their results.

    It lists the settings that differ, the final metrics with their difference from the first run,
    the curves of all runs in one chart, and each accuracy matrix with its difference from the
    first. If the runs learned different data or a different number of tasks, the page says so at
    the top.

    Examples:
    `orchestrator compare 3f2a9c1e 77b0d4e2`

    `orchestrator compare 3f2a9c1e 77b0d4e2 91c3aa05 --output comparison.html`
    """
    from orchestrator.pipelines.records.report import compare as write_comparison

    say(write_comparison(run_ids, tracking_uri, output))
