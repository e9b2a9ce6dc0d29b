"""A run in MLflow, by its explicit id: no active run, no global tracking URI, so many runs fit in one process."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from orchestrator.errors import OrchestratorError
from orchestrator.tracking import names
from orchestrator.tracking.earlier_log import EarlierLog, NoEarlierLog, not_a_child
from orchestrator.tracking.mlflow_calls import mlflow_calls
from orchestrator.tracking.mlflow_database import database_ready
from orchestrator.tracking.mlflow_runs import (
    clipped,
    connect,
    create_run,
    find_run,
    find_run_of_experiment,
    open_experiment,
    read_earlier_log,
    reopen_run,
    run_tags,
)
from orchestrator.tracking.provenance import provenance_tags
from orchestrator.tracking.reconciliation import close_abandoned_runs
from orchestrator.tracking.tracker import Lifetime, MetricPoint, RunStatus
from orchestrator.tracking.uris import run_url

MAX_PARAMETER_CHARACTERS = 6000

logger = logging.getLogger(__name__)


class MlflowTracker:
    """Writes to one run of an MLflow store, each call delivered when it returns.

    `MlflowClient.log_batch` splits what exceeds MLflow's limits (100 parameters or tags, 1000 metrics a request).

    Args:
        client: Bound to the store.
        uri: The store's URI, for messages and links.
        experiment_id: The experiment of the run.
        run_id: An open run.
        parent_run_id: The run below which this one is; empty when there is none.
        is_reopened: Whether the run may hold something already.
    """

    def __init__(
        self, client: MlflowClient, uri: str, experiment_id: str, run_id: str, *, parent_run_id: str = "", is_reopened: bool = False
    ) -> None:
        self.client = client
        self.uri = uri
        self.experiment_id = experiment_id
        self._lifetime = Lifetime(run_id, parent_run_id)
        self._is_reopened = is_reopened

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self._lifetime.run_id

    @property
    def run_url(self) -> str:
        """The run's page, on the server or on the one that `ui_command` starts."""
        return run_url(self.uri, self.experiment_id, self.run_id)

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Send settings; a key may be sent again only with the same value."""
        self._lifetime.require_open()
        kept = {key: clipped(value, MAX_PARAMETER_CHARACTERS) for key, value in parameters.items()}
        with mlflow_calls(self.uri):
            self._earlier.require_same(kept)
            self.client.log_batch(self.run_id, params=[Param(key, value) for key, value in kept.items()])

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send values that belong to one step."""
        self.log_points([MetricPoint(name, value, step) for name, value in metrics.items()])

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Send values of any steps."""
        self._lifetime.require_open()
        now = _milliseconds()
        with mlflow_calls(self.uri):
            news = self._earlier.without_repeats(points)
            self.client.log_batch(self.run_id, metrics=[Metric(point.name, point.value, now, point.step) for point in news])
        self._earlier.remember(news)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        self._lifetime.require_open()
        with mlflow_calls(self.uri):
            self.client.log_batch(self.run_id, tags=run_tags(tags))

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Copy a file to the run's artifacts."""
        self._lifetime.require_open()
        with mlflow_calls(self.uri):
            self.client.log_artifact(self.run_id, str(path), artifact_folder or None)

    def open_child(self, run_name: str, tags: Mapping[str, str], run_id: str | None = None) -> "MlflowTracker":
        """Open a child in the same experiment, new or one that this run has."""
        all_tags = self._lifetime.child_tags(run_name, tags)
        with mlflow_calls(self.uri):
            if run_id is None:
                child_id = create_run(self.client, self.experiment_id, self._provenance | all_tags)
            else:
                child_id = self._reopen_child(run_id, all_tags)
        is_reopened = run_id is not None
        return MlflowTracker(self.client, self.uri, self.experiment_id, child_id, parent_run_id=self.run_id, is_reopened=is_reopened)

    def close(self, status: RunStatus, reason: str = "") -> None:
        """Give the run its final status, and the reason as a tag."""
        if self._lifetime.status is not None:
            return
        if reason:
            self.set_tags({names.STATUS_REASON_TAG: reason})
        with mlflow_calls(self.uri):
            self.client.set_terminated(self.run_id, status.value)
        # Last, so that a close which failed to arrive can be tried again.
        self._lifetime.end(status)

    @cached_property
    def _earlier(self) -> EarlierLog:
        return read_earlier_log(self.client, self.run_id) if self._is_reopened else NoEarlierLog()

    @cached_property
    def _provenance(self) -> dict[str, str]:
        # Once for all children: they run the code that this process has loaded, whatever becomes of the checkout.
        return provenance_tags()

    def _reopen_child(self, run_id: str, tags: Mapping[str, str]) -> str:
        child = find_run(self.client, self.uri, run_id)
        if child.data.tags.get(names.PARENT_RUN_TAG) != self.run_id:
            raise not_a_child(run_id, self.run_id)
        reopen_run(self.client, child, tags)
        return str(child.info.run_id)


def start_run(uri: str, experiment: str, tags: Mapping[str, str], run_id: str | None = None) -> MlflowTracker:
    """Open a run, new or by its id, and before it what is missing: schema and experiment (see `opening.open_run`).

    The experiment's runs whose process on this host is gone are closed, but for the one that is gone on with.

    Args:
        uri: Supported, absolute and reachable.
        experiment: The experiment's name.
        tags: Of the run, `names.RUN_NAME_TAG` among them; they win over what is found out here.
        run_id: The run to go on with; None for a new one.

    Raises:
        UserInputError: As `opening.open_run`.
        TrackingUnavailableError: As `opening.open_run`.
    """
    with mlflow_calls(uri):
        with database_ready(uri):
            client = connect(uri)
            # Looked for before the experiment is made: a wrong run id leaves no empty experiment behind.
            earlier = find_run_of_experiment(client, uri, run_id, experiment) if run_id is not None else None
            experiment_id = open_experiment(client, uri, experiment)
        if earlier is None:
            new_run_id = create_run(client, experiment_id, provenance_tags() | dict(tags))
            tracker = MlflowTracker(client, uri, experiment_id, new_run_id)
        else:
            reopen_run(client, earlier, tags)
            parent_run_id = earlier.data.tags.get(names.PARENT_RUN_TAG, "")
            tracker = MlflowTracker(client, uri, experiment_id, earlier.info.run_id, parent_run_id=parent_run_id, is_reopened=True)
        _tidy_up(client, uri, experiment_id)
    return tracker


def _tidy_up(client: MlflowClient, uri: str, experiment_id: str) -> None:
    """Close what earlier processes left; a run is worth more than the status of those before it."""
    try:
        close_abandoned_runs(client, uri, [experiment_id])
    except OrchestratorError as error:
        logger.warning("earlier runs whose process is gone could not be closed: %s", error)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
