"""`orchestrator retrain`: run one tick of a retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Overrides, RetrainingFile


def retrain(
    retraining: RetrainingFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help=(
                "Decide, and change nothing: what is learned on the way only stays in the stage"
                " store."
            ),
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for summary.json and report.html. Default: out/retraining/NAME.",
        ),
    ] = None,
    scheduled_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            envvar="ORCHESTRATOR_SCHEDULED_AT",
            help="When this tick was due, as 2026-11-22T03:00:00Z; see max_tick_age_seconds.",
        ),
    ] = None,
) -> None:
    """Run one tick of a retraining: scan what has arrived, learn new classes, promote the models
    only if they are better.

    Let a schedule run it, as often as you like: a tick with nothing to do ends in seconds, two at
    once do not disturb each other, and the next tick resumes a killed one. The models are
    NAME-teacher and NAME-student in MLflow's registry; those in use have the alias `champion`.

    Where images are too few to decide, the candidate is held, and judged again when more have
    arrived, or you are asked: see `orchestrator approve` and `orchestrator reject`.

    The last line is the outcome: promoted, rejected, held, asked, nothing_to_do or locked, all
    with exit code 0; exit code 2 is for what a person must mend, 3 for what a later tick may find
    mended.

    Examples:
    `orchestrator retrain experiments/retraining_digits.yaml`

    `orchestrator retrain experiments/retraining_digits.yaml --dry-run --set
    source.path=/data/incoming`
    """
    from orchestrator.cluster.ticks import tick_of
    from orchestrator.config import load_retraining

    loaded = load_retraining(retraining, overrides or [])
    due = tick_of(scheduled_at).due if scheduled_at else None
    if loaded.experiment.execution.kind == "ray":
        from orchestrator.distributed.resources import check_room

        check_room(loaded.experiment.execution)  # before anything heavy is imported

    from orchestrator.pipelines.retraining.retrain import retrain as run_tick
    from orchestrator.terminal.listeners import show, tick_listener

    listener = tick_listener()
    try:
        outcome = run_tick(loaded, output, dry_run=dry_run, scheduled_at=due, listener=listener)
    finally:
        listener.close()
    show(outcome)
