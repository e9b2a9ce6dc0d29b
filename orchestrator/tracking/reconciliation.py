"""Closing what nobody else will close: a process that is killed leaves its run RUNNING for ever."""

import logging
from collections.abc import Iterator, Sequence

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.tracking import names
from orchestrator.tracking.mlflow_calls import QUICK_HTTP, environment, mlflow_calls
from orchestrator.tracking.run_process import RunProcess, recorded_process, this_process
from orchestrator.tracking.tracker import RunStatus

RUNS_PER_PAGE = 1000
_RUNNING = "RUNNING"

logger = logging.getLogger(__name__)


def close_abandoned_runs(client: MlflowClient, uri: str, experiment_ids: Sequence[str]) -> list[str]:
    """Close as FAILED the runs whose process was on this host and is gone, and return their ids.

    Runs of other hosts, of processes that live or cannot be seen from here, and runs that name no process are left alone.
    Several processes may do this at once: they write the same. The end time is when a run is found, for when its process
    died is not known.

    Args:
        client: Bound to the store.
        uri: The store's URI, for messages.
        experiment_ids: Where to look.

    Raises:
        UserInputError: The store refuses access.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written.
        OrchestratorError: A run was deleted meanwhile.
    """
    here = this_process()
    if here is None:
        return []
    closed = []
    with mlflow_calls(uri), environment(QUICK_HTTP):
        # All are found before any is closed: a closed run no longer matches, which would move the pages.
        for run in list(_running_on(here.host, client, experiment_ids)):
            process = recorded_process(run.data.tags)
            if process is not None and process.is_gone(here) and _close(client, run.info.run_id, process):
                closed.append(run.info.run_id)
    return closed


def _running_on(host: str, client: MlflowClient, experiment_ids: Sequence[str]) -> Iterator[Run]:
    wanted = f"attributes.status = '{_RUNNING}' and tags.`{names.HOST_TAG}` = '{host}'"
    token: str | None = None
    while True:
        page = client.search_runs(list(experiment_ids), wanted, max_results=RUNS_PER_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _close(client: MlflowClient, run_id: str, process: RunProcess) -> bool:
    # Asked again: after the search the process may have closed the run itself, before it ended; or another one goes on with it.
    run = client.get_run(run_id)
    if run.info.status != _RUNNING or recorded_process(run.data.tags) != process:
        return False
    reason = f"its process (pid {process.pid} on {process.host}) is gone"
    client.set_tag(run_id, names.STATUS_REASON_TAG, reason)
    client.set_terminated(run_id, RunStatus.FAILED.value)
    logger.info("run %s is closed as FAILED: %s", run_id, reason)
    return True
