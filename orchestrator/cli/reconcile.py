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
    sweeps: Annotated[
        list[Path] | None,
        typer.Option(
            "--sweep",
            metavar="DIR",
            help="Output folder of a sweep whose study is brought up to date; may be repeated.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="ORCHESTRATOR_STORAGE",
            metavar="URI",
            help="With --sweep: the Optuna storage, instead of the sweep's own.",
        ),
    ] = None,
) -> None:
    """Send to MLflow what waits on this machine, and close runs whose process is gone.

    While a tracking store does not answer, runs keep their numbers in the spool; the rest of a run
    that ended meanwhile, or was killed, is sent by this command (and by the next `run` or `sweep`
    with that store). Runs whose process was killed become FAILED, with the reason.

    With `--sweep`, only the sweep's study in its Optuna storage is brought up to date from its
    ledger: of a sweep from before there were studies, or one whose storage was away.

    Exit code 3 when a store still does not answer: what waits for it waits on.

    Examples:
    `orchestrator reconcile`

    `orchestrator reconcile --tracking-uri http://mlflow:5000 --spool /data/spool`

    `orchestrator reconcile --sweep out/sweeps/smoke`
    """
    if sweeps:
        from orchestrator.masking import shown
        from orchestrator.pipelines.sweep.studies import import_sweep

        for folder in sweeps:
            study = import_sweep(folder, storage)
            say(f"study    {study.name} in {shown(study.storage)}")
        return
    from orchestrator.pipelines.records.reconcile import reconcile as put_in_order
    from orchestrator.terminal.reconciliation import reconciliation_lines

    found = put_in_order(tracking_uri, spool.absolute())
    for line in reconciliation_lines(found):
        say(line)
    found.raise_error()
