"""Putting in order what nobody else will: numbers that wait in the spool, and runs whose process
was killed.

A process that is killed leaves its run RUNNING for ever, and what it had logged and not sent in its
spool.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.config.addresses import without_password
from orchestrator.errors import OrchestratorError, StorageUnavailableError, TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.entries import Entry
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.delivery import Delivery
from orchestrator.tracking.mlflow.runs import RUNNING, connect
from orchestrator.tracking.outbox import WINDOW
from orchestrator.tracking.run_process import RunProcess, recorded_process, this_process
from orchestrator.tracking.spool import Destination, Spool
from orchestrator.tracking.tracker import RunStatus

RUNS_PER_PAGE = 1000
# Fifteen missed heartbeats.
SILENCE = timedelta(minutes=15)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftBehind:
    """What became of a session whose process is gone.

    Attributes:
        folder: Its spool.
        destination: Where its entries go.
        num_sent: Entries that the store took.
        num_refused: Entries that it will never take; they stay in the folder, with the reason.
        error: Why the others wait on; None when none does.
        is_store_away: Whether the store could not be opened at all.
    """

    folder: Path
    destination: Destination
    num_sent: int
    num_refused: int
    error: OrchestratorError | None
    is_store_away: bool = False


def deliver_left_behind(spool_dir: Path, uri: str | None = None) -> list[LeftBehind]:
    """Sends what sessions of killed processes, or of runs that ended while the store was away, left
    in the spool.

    Args:
        spool_dir: Where sessions keep what waits.
        uri: Only those of this store; None for all.
    """
    found: list[LeftBehind] = []
    for spool in Spool.left_behind(spool_dir):
        try:
            if uri is None or spool.destination.uri == uri:
                found.append(_deliver(spool, found))
        finally:
            spool.close()
    return found


def _deliver(spool: Spool, before: Sequence[LeftBehind]) -> LeftBehind:
    """Sends one, unless the store did not answer for one before: each try may take some seconds."""
    destination, num_sent, num_refused = spool.destination, 0, 0
    error = next(
        (
            left.error
            for left in before
            if left.is_store_away and left.destination.uri == destination.uri
        ),
        None,
    )
    if error is not None:
        return LeftBehind(spool.folder, destination, 0, 0, error, is_store_away=True)
    delivery = Delivery(destination, spool.delivered.run_ids)
    try:
        for num_entries, refused in _sent_windows(spool, delivery):
            num_sent += num_entries - refused
            num_refused += refused
    except OrchestratorError as reason:
        error = reason
    except OSError as reason:
        error = StorageUnavailableError(
            f"the spool cannot be used ({reason.strerror or reason})", str(spool.folder)
        )
    except Exception as reason:  # noqa: BLE001 - what cannot be sent keeps no run from beginning, and nothing else waiting
        error = OrchestratorError(
            without_password(f"{type(reason).__name__}: {reason}"), str(spool.folder)
        )
    is_store_away = isinstance(error, TrackingUnavailableError) and not delivery.is_connected
    return LeftBehind(spool.folder, destination, num_sent, num_refused, error, is_store_away)


def _sent_windows(spool: Spool, delivery: Delivery) -> Iterator[tuple[int, int]]:
    """Sends what waits, and tells of each window the number of entries and how many of them the
    store refuses.
    """
    waiting, aside = spool.waiting(), spool.aside()
    for start in range(0, len(waiting), WINDOW):
        window = waiting[start : start + WINDOW]
        refused = _send(spool, delivery, [entry for entry, _ in window])
        spool.note_delivered(window[-1][1], delivery.run_ids, aside)
        yield len(window), refused
    while aside:
        refused = _send(spool, delivery, [aside.pop(0)])
        spool.note_delivered(spool.delivered.offset, delivery.run_ids, aside)
        yield 1, refused


def _send(spool: Spool, delivery: Delivery, entries: Sequence[Entry]) -> int:
    refused = delivery.send(entries)
    for one in refused:
        spool.note_refused(one.entry, one.reason)
    return len(refused)


def close_abandoned_runs(
    client: MlflowClient, uri: str, experiment_ids: Sequence[str]
) -> list[str]:
    """Close as FAILED the runs whose process is gone, and return their ids.

    Gone is a process of this host that has ended, and one that cannot be seen from here (of another
    host or container) and gave no sign of life for `SILENCE`. Runs of other processes, and runs
    that name none, are left alone. Several processes may do this at once: they write the same. The
    end time is when a run is found, for when its process died is not known.

    Args:
        client: Bound to the store.
        uri: The store's URI, for messages.
        experiment_ids: Where to look.

    Raises:
        UserInputError: The store refuses access.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written.
        OrchestratorError: A run was deleted meanwhile.
    """
    closed = []
    with mlflow_calls(uri):
        # All are found before any is closed: a closed run no longer matches, which would move the
        # pages.
        for run in list(_running(client, experiment_ids)):
            process = recorded_process(run.data.tags)
            reason = _why_gone(process, run) if process else ""
            if process and reason and _close(client, run.info.run_id, process, reason):
                closed.append(run.info.run_id)
    return closed


def close_abandoned_runs_of_store(uri: str) -> list[str]:
    """As `close_abandoned_runs`, in every experiment of a store that answers."""
    with mlflow_calls(uri):
        with database_ready(uri):
            client = connect(uri)
        experiment_ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return close_abandoned_runs(client, uri, experiment_ids)


def _running(client: MlflowClient, experiment_ids: Sequence[str]) -> Iterator[Run]:
    token: str | None = None
    while True:
        page = client.search_runs(
            list(experiment_ids),
            f"attributes.status = '{RUNNING}'",
            max_results=RUNS_PER_PAGE,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _why_gone(process: RunProcess, run: Run) -> str:
    """Empty for a process that may live."""
    here = this_process()
    if here is not None and process.is_seen_from(here):
        return (
            f"its process (pid {process.pid} on {process.host}) is gone"
            if process.is_gone(here)
            else ""
        )
    try:
        last = datetime.fromisoformat(run.data.tags.get(names.HEARTBEAT_TAG, ""))
    except ValueError:
        return ""
    silence = datetime.now(UTC) - last
    return (
        f"no sign of life from {process.host} for {silence.total_seconds() / 60:.0f} minutes"
        if silence > SILENCE
        else ""
    )


def _close(client: MlflowClient, run_id: str, process: RunProcess, reason: str) -> bool:
    # Asked again: after the search the process may have closed the run itself, before it ended; or
    # another one goes on with it.
    run = client.get_run(run_id)
    if run.info.status != RUNNING or recorded_process(run.data.tags) != process:
        return False
    client.set_tag(run_id, names.STATUS_REASON_TAG, reason)
    client.set_terminated(run_id, RunStatus.FAILED.value)
    logger.info("run %s is closed as FAILED: %s", run_id, reason)
    return True
