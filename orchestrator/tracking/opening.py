"""Opening a run in MLflow: everything that can be wrong is said here, before any training."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.addresses import absolute_tracking_uri
from orchestrator.tracking.names import RUN_NAME_TAG
from orchestrator.tracking.preflight import check_reachable
from orchestrator.tracking.uris import require_supported

if TYPE_CHECKING:
    from orchestrator.tracking.mlflow_tracker import MlflowTracker

_MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # It would print two lines of its own when a run on a server ends.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def open_run(uri: str, experiment: str, run_name: str, tags: Mapping[str, str], run_id: str | None = None) -> "MlflowTracker":
    """Start a run, or go on with one, and return the tracker that writes to it.

    Creates what is missing: the database, its schema, the experiment. Closes as FAILED the experiment's runs whose process on
    this host is gone, so that none stays RUNNING for ever; where that fails it is a warning in the log.

    A run that is gone on with is RUNNING again, as a run of this process. What it holds stays, and is not logged twice (see `Tracker`).

    Args:
        uri: `sqlite:///FILE`, the http(s) address of an MLflow server, or a database server.
        experiment: The experiment's name; created when there is none.
        run_name: What the run is called in the UI.
        tags: Further tags of the run; see `names` for keys.
        run_id: The run to go on with; None for a new one.

    Raises:
        UserInputError: The URI, the experiment's name or the credentials cannot work, the database's schema is newer than
            the installed MLflow, or `run_id` names a run that does not exist, is deleted, or lies in another experiment.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written.
    """
    require_supported(uri)
    uri = absolute_tracking_uri(uri, Path.cwd())
    check_reachable(uri)
    for name, value in _MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # read by MLflow when it is imported; the user's own choice wins
    # MLflow takes some seconds to import, so it is loaded for those who track.
    from orchestrator.tracking.mlflow_tracker import start_run  # noqa: PLC0415

    return start_run(uri, experiment, {**tags, RUN_NAME_TAG: run_name}, run_id)
