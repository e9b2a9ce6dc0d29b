"""Commands of a retraining, run by a schedule or by a person: retrain, rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.application import Overrides, app

RetrainingFile = Annotated[
    Path, typer.Argument(metavar="RETRAINING.yaml", help="The retraining file.")
]


@app.command()
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
    """One tick of a retraining: see what has arrived, learn new classes, promote the models only if
    they are better.

    To be run by a schedule, as often as you like: a tick with nothing to do says so in seconds, two
    at once do not get in each other's way, and one that was killed is gone on with by the next. The
    models are NAME-teacher and NAME-student in MLflow's registry; those in use have the alias
    `champion`.

    The last line is the outcome: promoted, rejected, nothing_to_do or locked, all with exit code 0;
    2 and 3 are for what a person must mend and for what a later tick may find mended.

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
        outcome = run_tick(loaded, dry_run, output, due, listener)
    finally:
        listener.close()
    show(outcome)


@app.command()
def rollback(
    retraining: RetrainingFile,
    overrides: Overrides = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Kept beside the versions.")
    ] = "rolled back by a person",
) -> None:
    """Return to the champion before: the alias `champion` moves back to the version that has
    `previous`.

    What the rolled-back models had learned from is left out of the next ticks until those files
    change. A second rollback goes one champion further back. Exit code 3 while a retraining works.

    Example:
    `orchestrator rollback experiments/retraining_digits.yaml --reason "confuses 3 and 8 in the
    shop"`
    """
    from orchestrator.config import load_retraining

    loaded = load_retraining(retraining, overrides or [])

    from orchestrator.pipelines.retraining.rollback import rollback as return_to_previous

    champion, rolled_back = return_to_previous(loaded, reason)
    typer.echo(f"champion: {champion}; rolled back: {rolled_back}")
