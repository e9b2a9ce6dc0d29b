"""Open a run in MLflow: whatever is wrong with the store is an error here, before any training.

MLflow is loaded when a run is opened, not when this module is.
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

    Create what is missing: the database, its schema, the experiment. Before that, put in order what
    earlier processes of this machine left: what waits in the spool is sent, and the experiment's
    runs whose process is gone are closed as FAILED, so that none stays RUNNING for ever; where that
    fails, the log has a warning.

    A resumed run is RUNNING again, as a run of this process. What it holds stays, and is not logged
    twice (see `Tracker`).

    Args:
        tracking: The store: `sqlite:///FILE`, the http(s) address of an MLflow server, or a
            database server; and the spool.
        experiment: The experiment's name; created when there is none.
        run_name: What the run is called in the UI.
        tags: Further tags of the run; see `names` for keys.
        run_id: The run to resume; None for a new one.

    Raises:
        UserInputError: The URI, the experiment's name or the credentials cannot work, the
            database's schema is newer than the installed MLflow, or `run_id` names a run that does
            not exist, is deleted, or lies in another experiment.
        TrackingUnavailableError: The store does not answer (within seconds) or cannot be written,
            and it is required.
        StorageUnavailableError: The spool cannot be written.
    """
    require_supported(tracking.uri)
    destination = Destination(absolute_tracking_uri(tracking.uri, Path.cwd()), experiment)
    all_tags = {**tags, RUN_NAME_TAG: run_name}
    try:
        check_reachable(destination.uri)
        prepare_mlflow()
        # MLflow takes some seconds to import, so it is loaded for those who track.
        from orchestrator.tracking.mlflow.starting import start_run  # noqa: PLC0415

        return start_run(destination, tracking.spool, all_tags, run_id)
    except TrackingUnavailableError as error:
        if tracking.required:
            raise
        logger.warning(
            "%s; the run's numbers wait in %s until it can be used", error.what, tracking.spool
        )
    prepare_mlflow()
    from orchestrator.tracking.mlflow.starting import start_run_later  # noqa: PLC0415

    return start_run_later(destination, tracking.spool, all_tags, run_id)
