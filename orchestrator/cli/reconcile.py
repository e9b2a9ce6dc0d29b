"""`orchestrator reconcile`: deliver spooled records to MLflow."""

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
            metavar="DIR", help="Folder of records that a tracking store has not accepted yet."
        ),
    ] = Path(".orchestrator/spool"),
    sweeps: Annotated[
        list[Path] | None,
        typer.Option(
            "--sweep",
            metavar="DIR",
            help="Update the Optuna study of the sweep in this output folder. May be repeated.",
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
    """Deliver spooled records to MLflow, and close runs whose process was killed.

    While a tracking store is unreachable, runs write their records to the spool on this machine. If
    such a run ends or is killed first, this command delivers the rest, and so does the next `run`
    or `sweep` with the same store. Runs whose process was killed become FAILED, with the reason.

    With `--sweep`, the command only updates the sweep's study in its Optuna storage from the
    sweep's ledger. Use it for a sweep from before studies existed, or for one whose storage was
    unreachable.

    The exit code is 3 if a store is still unreachable; its records stay in the spool.

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
