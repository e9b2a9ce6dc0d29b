"""Start or resume a run in MLflow, even if the store does not answer.

If the store answers, first clean up after earlier processes: send the log entries that they left in
the spool, and close runs whose process is gone.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mlflow.entities import Run

from orchestrator.errors import OrchestratorError, StorageUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import EarlierLog
from orchestrator.tracking.mlflow.abandoned_runs import close_abandoned_runs
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.runs import (
    Store,
    connect,
    create_run,
    find_run_of_experiment,
    open_store,
    reopen_run,
)
from orchestrator.tracking.mlflow.session import Session
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox.entries import Resume
from orchestrator.tracking.outbox.left_behind import deliver_left_behind
from orchestrator.tracking.outbox.spool import Destination, Spool
from orchestrator.tracking.provenance import provenance_tags
from orchestrator.tracking.run_process import this_process
from orchestrator.tracking.tracker import RunStatus

logger = logging.getLogger(__name__)


def start_run(
    destination: Destination, spool_dir: Path, tags: Mapping[str, str], run_id: str | None = None
) -> MlflowTracker:
    """Start a new run or resume a run; create a missing schema and a missing experiment.

    Args:
        destination: The store and the experiment; the store's URI is supported, absolute and
            reachable.
        spool_dir: Folder in which processes keep the log entries that the store lacks.
        tags: Tags of the run, including `names.RUN_NAME_TAG`; these tags override the tags that
            `opening_tags` returns.
        run_id: Id of the run to resume; None for a new run.

    Raises:
        UserInputError: The experiment is deleted, its name or the credentials are invalid, the
            installed MLflow cannot use the database's schema, a database driver is missing, or the
            run to resume does not exist, is deleted, or belongs to another experiment.
        StorageUnavailableError: The folder `spool_dir` cannot be written.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written.
    """
    opened_by = opening_tags()
    all_tags = opened_by | dict(tags)
    # Deliver waiting log entries first, because they may create the run to resume.
    _deliver_left_behind(spool_dir, destination.uri)
    with mlflow_calls(destination.uri):
        # Search for the run before creating the experiment, so that a wrong run id creates no empty
        # experiment.
        earlier = None if run_id is None else _existing_run(destination, run_id)
        store = open_store(destination.uri, destination.experiment)
        _close_abandoned(store)
        if earlier is None:
            new_run_id = create_run(store.client, store.experiment_id, all_tags)
        else:
            new_run_id = earlier.info.run_id
            reopen_run(store.client, earlier, all_tags)
    spool = _begin_spool(spool_dir, new_run_id, store, destination)
    session = Session(spool, MlflowDelivery(destination, {}, store), opened_by)
    if earlier is None:
        return MlflowTracker(session, new_run_id)
    session.outbox.put(Resume(run=new_run_id, tags=all_tags))
    parent_run_id = earlier.data.tags.get(names.PARENT_RUN_TAG, "")
    return MlflowTracker(
        session, new_run_id, parent_run_id, EarlierLog(new_run_id, earlier.data.params, ())
    )


def start_run_later(
    destination: Destination, spool_dir: Path, tags: Mapping[str, str], run_id: str | None = None
) -> MlflowTracker:
    """Open a run while the store does not answer; the run's log entries wait in the spool.

    Args:
        destination: The store and the experiment, as for `start_run`.
        spool_dir: Folder of the waiting log entries, as for `start_run`.
        tags: Tags of the run, as for `start_run`.
        run_id: Id of the run to resume, as for `start_run`.

    Raises:
        StorageUnavailableError: The spool cannot be written.
    """
    opened_by = opening_tags()
    all_tags = opened_by | dict(tags)
    spool = Spool.begin(spool_dir, run_id or uuid.uuid4().hex, destination)
    session = Session(spool, MlflowDelivery(destination, {}), opened_by)
    if run_id is None:
        return MlflowTracker(session, session.begin_later(all_tags))
    session.outbox.put(Resume(run=run_id, tags=all_tags))
    return MlflowTracker(session, run_id)


def opening_tags() -> dict[str, str]:
    """Return tags that identify the user, the commit of the code, and this process.

    Other processes read from the tags whether the run's process is still alive. A session calls
    this function only once for all its runs, because they all run the code that this process has
    loaded, even if the checkout changes later.
    """
    process = this_process()
    return {**(process.tags() if process else {}), **provenance_tags()}


def _deliver_left_behind(spool_dir: Path, uri: str) -> None:
    for left in deliver_left_behind(spool_dir, MlflowDelivery, uri):
        if left.error is not None:
            logger.warning(
                "entries of an earlier run could not be sent: %s; delete %s to discard the entries",
                left.error,
                left.folder,
            )
        elif left.num_refused:
            logger.warning(
                "the store refused %d entries of an earlier run; they and the reasons are in %s",
                left.num_refused,
                left.folder,
            )


def _existing_run(destination: Destination, run_id: str) -> Run:
    with database_ready(destination.uri):
        client = connect(destination.uri)
    return find_run_of_experiment(client, destination.uri, run_id, destination.experiment)


def _close_abandoned(store: Store) -> None:
    """Close runs whose process is gone; only log a failure, which must not stop the new run."""
    try:
        close_abandoned_runs(store.client, store.uri, [store.experiment_id])
    except OrchestratorError as error:
        logger.warning("earlier runs whose process is gone could not be closed: %s", error)


def _begin_spool(spool_dir: Path, run_id: str, store: Store, destination: Destination) -> Spool:
    try:
        return Spool.begin(spool_dir, run_id, destination)
    except StorageUnavailableError as error:
        with suppress(OrchestratorError), mlflow_calls(store.uri):
            store.client.set_tag(run_id, names.STATUS_REASON_TAG, str(error))
            store.client.set_terminated(run_id, RunStatus.FAILED.value)
        raise
