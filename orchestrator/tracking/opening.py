"""Open a run in MLflow, and report any problem with the store before training starts.

MLflow is imported when a run is opened, not when this module is imported.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.addresses import absolute_tracking_uri
from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking.names import RUN_NAME_TAG
from orchestrator.tracking.outbox.spool import Destination
from orchestrator.tracking.preflight import check_reachable, prepare_mlflow
from orchestrator.tracking.uris import require_supported

if TYPE_CHECKING:
    from orchestrator.tracking.mlflow.tracker import MlflowTracker

logger = logging.getLogger(__name__)


def open_run(
    tracking: TrackingConfig,
    experiment: str,
    run_name: str,
    tags: Mapping[str, str],
    run_id: str | None = None,
) -> "MlflowTracker":
    """Start or resume a run, and return the tracker that writes to it.

    This function creates a missing database, schema or experiment. It also cleans up after earlier
    processes: it sends the log entries that ended processes left in the spool, and it closes each
    RUNNING run of the experiment as FAILED if the run's process is gone. A failure of the clean-up
    is logged as a warning.

    A resumed run is RUNNING again, and its tags name this process. The run keeps its logged values,
    and logs no metric point twice (see `Tracker`).

    Args:
        tracking: Configuration of the store (`sqlite:///FILE`, the http(s) address of an MLflow
            server, or a database server) and of the spool.
        experiment: Name of the experiment.
        run_name: Name of the run in the UI.
        tags: Further tags of the run; `names` defines the keys.
        run_id: Id of the run to resume; None for a new run.

    Raises:
        UserInputError: The URI, the experiment's name or the credentials are invalid, the
            database's schema is newer than the installed MLflow, or the run to resume does not
            exist, is deleted, or belongs to another experiment.
        TrackingUnavailableError: The configuration requires the store, but the store does not
            answer (within seconds) or cannot be written.
        StorageUnavailableError: The spool cannot be written.
    """
    require_supported(tracking.uri)
    destination = Destination(absolute_tracking_uri(tracking.uri, Path.cwd()), experiment)
    all_tags = {**tags, RUN_NAME_TAG: run_name}
    try:
        check_reachable(destination.uri)
        prepare_mlflow()
        # Import MLflow only when a run is opened, because the import takes seconds.
        from orchestrator.tracking.mlflow.starting import start_run  # noqa: PLC0415

        return start_run(destination, tracking.spool, all_tags, run_id)
    except TrackingUnavailableError as error:
        if tracking.required:
            raise
        logger.warning(
            "%s; the run's numbers wait in %s until the store can be used",
            error.what,
            tracking.spool,
        )
    prepare_mlflow()
    from orchestrator.tracking.mlflow.starting import start_run_later  # noqa: PLC0415

    return start_run_later(destination, tracking.spool, all_tags, run_id)
