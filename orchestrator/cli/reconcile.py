"""`orchestrator reconcile`: send to MLflow what waits in the spool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_TRACKING_URI, TrackingUri
from orchestrator.terminal.printable import say


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
        say(line)
    found.raise_error()
