"""Run one tick of a retraining. Ticks can be started at any time and as often as needed.

A tick acquires the lease, loads the champion and scans the source. If there is anything to learn,
the tick trains a candidate, judges the candidate with the gate, and carries out the verdict.
Finally, the tick releases the lease. A tick can be interrupted at any step. Trained stages are in
the stage store and decisions in the journal, so the next tick resumes the work.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from orchestrator.config.addresses import sqlite_path
from orchestrator.config.retraining import Retraining
from orchestrator.errors import LockedError, OrchestratorError, UserInputError
from orchestrator.pipelines.retraining.lease import held_lease, state_without_lease
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.pipelines.retraining.report import record_tick, write_report
from orchestrator.pipelines.retraining.tick import Tick
from orchestrator.pipelines.run.execution import check_execution, check_extensions_everywhere
from orchestrator.pipelines.run.listener import RunListener
from orchestrator.pipelines.run.output_folder import make_writable
from orchestrator.pipelines.run.outputs import remove_earlier_summary, write_summary
from orchestrator.private_folder import scratch_folder
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.settling import check_champion
from orchestrator.retraining.webhook import post_to_webhook
from orchestrator.tracking.reading import open_registry


def retrain(
    retraining: Retraining,
    output: str | Path | None = None,
    *,
    dry_run: bool = False,
    scheduled_at: datetime | None = None,
    listener: RunListener | None = None,
) -> RetrainingOutcome:
    """Run one tick of a retraining.

    Args:
        retraining: The retraining.
        output: Folder for summary.json and for the files of the candidate's run; None means
            `out/retraining/NAME`.
        dry_run: Whether to train and judge a candidate without changing the retraining. A dry run
            takes no lease, does not change MLflow, writes no summary.json and calls no webhook. It
            keeps trained stages in the stage store for the next tick. It writes the history page
            only if a candidate was judged or files were rejected, like any tick.
        scheduled_at: Time at which this tick was due, in local time if it has no time zone; None
            means now.
        listener: Receives the events of training; None if no listener is needed.

    Returns:
        The outcome: the candidate is promoted, rejected or held; a person is asked to decide; there
        is nothing to do; or another process holds the lease.

    Raises:
        UserInputError: Configuration, data or the champion's files cannot be used.
        TransientError: Source, store, journal, registry or output folder cannot be used, or another
            process has taken the lease.
        InterruptedRunError: The tick was interrupted.
    """
    folder = Path(output) if output is not None else Path("out") / "retraining" / retraining.name
    make_writable(folder)
    if not dry_run:
        remove_earlier_summary(folder)
    try:
        outcome = _outcome(retraining, dry_run, folder, scheduled_at, listener)
    except OrchestratorError as error:
        if not dry_run:
            failure = {"outcome": "failed", "reason": str(error), "exit_code": error.exit_code}
            # record errors that a person must fix, so that the history page shows them
            if isinstance(error, UserInputError):
                record_tick(failure, retraining)
            post_to_webhook(retraining.webhook, {"retraining": retraining.name, **failure})
        raise
    if not dry_run:
        write_summary(folder, outcome.summary())
        if outcome.outcome != "locked":
            record_tick(outcome.summary(), retraining)
    if outcome.conditions or outcome.outcome == "rejected":
        outcome = write_report(outcome, retraining, folder)
    if not dry_run:  # call the webhook last, because its receiver may deploy a promoted version
        post_to_webhook(retraining.webhook, {"retraining": retraining.name, **outcome.summary()})
    return outcome


def _outcome(
    retraining: Retraining,
    dry_run: bool,
    folder: Path,
    scheduled_at: datetime | None,
    listener: RunListener | None,
) -> RetrainingOutcome:
    limit = retraining.max_tick_age_seconds
    now = datetime.now(UTC)
    age = (now - (scheduled_at or now).astimezone(UTC)).total_seconds()
    if limit is not None and age > limit:
        return RetrainingOutcome(
            "nothing_to_do",
            f"this tick was due {age:.0f} s ago; ticks later than {limit:.0f} s are skipped",
        )
    check_execution(retraining.experiment.execution)
    check_extensions_everywhere(retraining.experiment)
    with scratch_folder("champion") as scratch:
        uri = retraining.experiment.tracking.uri
        database = sqlite_path(uri)
        # a dry run must not create the database, as `open_registry` would
        if dry_run and database is not None and not database.exists():
            uri = f"sqlite:///{scratch}/mlflow.db"
        registry = open_registry(uri, retraining.name)
        pairs = ModelPairs(registry)
        if dry_run:
            state, learned = state_without_lease(retraining, pairs), scratch / "learned"
            return Tick(retraining, registry, learned, scratch, state, listener).work(None)
        try:
            with held_lease(retraining, pairs) as lease:
                check_champion(lease.state, pairs)
                return Tick(retraining, registry, folder, scratch, lease.state, listener).work(
                    lease
                )
        except LockedError as locked:
            return RetrainingOutcome("locked", str(locked))
