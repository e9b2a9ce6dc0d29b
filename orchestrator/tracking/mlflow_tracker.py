"""A run in MLflow, by its explicit id: no active run, no global tracking URI, so many runs fit in one process."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Experiment, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orchestrator.config.addresses import without_password
from orchestrator.errors import OrchestratorError, UserInputError
from orchestrator.tracking import names
from orchestrator.tracking.mlflow_calls import QUICK_HTTP, environment, mlflow_calls
from orchestrator.tracking.mlflow_database import database_ready
from orchestrator.tracking.provenance import provenance_tags
from orchestrator.tracking.reconciliation import close_abandoned_runs
from orchestrator.tracking.run_process import this_process
from orchestrator.tracking.tracker import Lifetime, RunStatus
from orchestrator.tracking.uris import artifact_root, run_url

MAX_PARAMETER_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000

logger = logging.getLogger(__name__)


class MlflowTracker:
    """Writes to one run of an MLflow store, each call delivered when it returns.

    `MlflowClient.log_batch` splits what exceeds MLflow's limits (100 parameters or tags, 1000 metrics a request).

    Args:
        client: Bound to the store.
        uri: The store's URI, for messages and links.
        experiment_id: The experiment of the run.
        run_id: An open run.
    """

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, run_id: str) -> None:
        self.client = client
        self.uri = uri
        self.experiment_id = experiment_id
        self._lifetime = Lifetime(run_id)

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
        params = [Param(key, _clipped(value, MAX_PARAMETER_CHARACTERS)) for key, value in parameters.items()]
        with mlflow_calls(self.uri):
            self.client.log_batch(self.run_id, params=params)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send values that belong to one step."""
        self._lifetime.require_open()
        now = _milliseconds()
        points = [Metric(name, value, now, step) for name, value in metrics.items()]
        with mlflow_calls(self.uri):
            self.client.log_batch(self.run_id, metrics=points)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        self._lifetime.require_open()
        run_tags = [RunTag(key, _clipped(value, MAX_TAG_CHARACTERS)) for key, value in tags.items()]
        with mlflow_calls(self.uri):
            self.client.log_batch(self.run_id, tags=run_tags)

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Copy a file to the run's artifacts."""
        self._lifetime.require_open()
        with mlflow_calls(self.uri):
            self.client.log_artifact(self.run_id, str(path), artifact_folder or None)

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


def start_run(uri: str, experiment: str, tags: Mapping[str, str]) -> MlflowTracker:
    """Create a run, and before it what is missing: schema and experiment (see `opening.open_run`).

    The experiment's runs whose process on this host is gone are closed first.

    Args:
        uri: Supported, absolute and reachable.
        experiment: The experiment's name.
        tags: Of the run, `names.RUN_NAME_TAG` among them; they win over what is found out here.

    Raises:
        UserInputError: As `opening.open_run`.
        TrackingUnavailableError: As `opening.open_run`.
    """
    with mlflow_calls(uri):
        with database_ready(uri):
            client, experiment_id = _open_experiment(uri, experiment)
        _tidy_up(client, uri, experiment_id)
        all_tags = provenance_tags() | _process_tags() | dict(tags)
        run_tags = {key: _clipped(value, MAX_TAG_CHARACTERS) for key, value in all_tags.items()}
        run = client.create_run(experiment_id, tags=run_tags)
    return MlflowTracker(client, uri, experiment_id, run.info.run_id)


def _tidy_up(client: MlflowClient, uri: str, experiment_id: str) -> None:
    """Close what earlier processes left; a run is worth more than the status of those before it."""
    try:
        close_abandoned_runs(client, uri, [experiment_id])
    except OrchestratorError as error:
        logger.warning("earlier runs whose process is gone could not be closed: %s", error)


def _process_tags() -> dict[str, str]:
    process = this_process()
    return process.tags() if process else {}


def _open_experiment(uri: str, name: str) -> tuple[MlflowClient, str]:
    if not name.strip() or len(name) > 500:
        raise UserInputError(f"the experiment's name {name[:40]!r} is empty or longer than 500", "tracking.experiment")
    root = artifact_root(uri)
    location = root.as_uri() if root else None
    # MLflow makes its "Default" experiment along with the database: its artifacts belong to the same root.
    store_root = {"_MLFLOW_SERVER_ARTIFACT_ROOT": location} if location else {}
    with environment(QUICK_HTTP | store_root):
        # The registry is named too: otherwise the client asks the global setting.
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client, client.create_experiment(name, location, names.EXPERIMENT_TAGS)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was quicker
    return client, _active(found, uri, name)


def _active(found: Experiment | None, uri: str, name: str) -> str:
    if found is None or found.lifecycle_stage != "active":
        deleted_id = found.experiment_id if found else "ID"
        restore = f"restore it (mlflow experiments restore --experiment-id {deleted_id}) or choose another name"
        raise UserInputError(f"tracking.experiment {name!r} is deleted", without_password(uri), restore)
    return str(found.experiment_id)


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
