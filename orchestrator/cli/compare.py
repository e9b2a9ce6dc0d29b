"""`orchestrator compare`: write several runs side by side into one page."""

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

    say(write_comparison(run_ids, tracking_uri, output))
