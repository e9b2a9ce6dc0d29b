"""Close runs whose process was killed, because such runs would stay RUNNING for ever."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.tracking import names
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.runs import RUNNING, active_experiments, connect
from orchestrator.tracking.run_process import RunProcess, recorded_process, this_process
from orchestrator.tracking.tracker import RunStatus

RUNS_PER_PAGE = 100  # small, because MLflow returns each run with all its values
# A process without a heartbeat for this long counts as gone: it has missed fifteen heartbeats.
SILENCE = timedelta(minutes=15)

logger = logging.getLogger(__name__)


def close_abandoned_runs(
    client: MlflowClient, uri: str, experiment_ids: Sequence[str]
) -> list[str]:
    """Close as FAILED the runs whose process is gone, and return their ids.

    A process of this host counts as gone if it has ended. A process of another host or container
    counts as gone if it has sent no heartbeat for `SILENCE`. A run whose tags name no process is
    not closed. Several processes may call this function at once, because they write the same
    values. The end time of a closed run is the time of this call, because the time at which the
    run's process ended is unknown.

    Args:
        client: MLflow's client of the store.
        uri: The store's URI, for messages.
        experiment_ids: Ids of the experiments to search.

    Raises:
        UserInputError: The store refuses access.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written.
        OrchestratorError: A run was deleted during this call.
    """
    closed = []
    with mlflow_calls(uri):
        # Find all runs before closing any of them: a closed run no longer matches the search, so
        # later pages would skip runs.
        for run in list(_running(client, experiment_ids)):
            process = recorded_process(run.data.tags)
            reason = _why_gone(process, run) if process else ""
            if process and reason and _close(client, run.info.run_id, process, reason):
                closed.append(run.info.run_id)
    return closed


def close_abandoned_runs_of_store(uri: str) -> list[str]:
    """Close the abandoned runs in every experiment of a store; see `close_abandoned_runs`."""
    with mlflow_calls(uri):
        with database_ready(uri):
            client = connect(uri)
        experiment_ids = active_experiments(client)
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
    """Return why a run's process counts as gone; empty if the process may be alive."""
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
        f"no heartbeat from {process.host} for {silence.total_seconds() / 60:.0f} minutes"
        if silence > SILENCE
        else ""
    )


def _close(client: MlflowClient, run_id: str, process: RunProcess, reason: str) -> bool:
    # Read the run again: after the search, the run's process may have closed the run, or another
    # process may have resumed it.
    run = client.get_run(run_id)
    if run.info.status != RUNNING or recorded_process(run.data.tags) != process:
        return False
    client.set_tag(run_id, names.STATUS_REASON_TAG, reason)
    client.set_terminated(run_id, RunStatus.FAILED.value)
    logger.info("run %s is closed as FAILED: %s", run_id, reason)
    return True
