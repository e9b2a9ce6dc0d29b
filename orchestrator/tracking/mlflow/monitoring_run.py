"""Log a retraining's checks of unlabelled images to one run of the retraining, its monitoring run.

The runs of candidates (newly trained models) cannot hold these values: an execution of
`orchestrator retrain` that trains no candidate has no run, and a candidate's run has ended before
the candidate is judged. The monitoring run always has the status FINISHED, so it is never closed as
an abandoned run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from orchestrator.tracking import names
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.runs import create_run, find_run_of_tag, open_store
from orchestrator.tracking.tracker import MetricPoint, RunStatus

_POINTS_PER_REQUEST = 1000


def log_monitoring(
    uri: str, experiment: str, retraining: str, points: Sequence[MetricPoint]
) -> str:
    """Log metric points to a retraining's monitoring run, and return the run's id.

    A missing monitoring run is created. A point that is logged twice is stored once.

    Args:
        uri: A supported and absolute URI of a store.
        experiment: Name of the retraining's MLflow experiment.
        retraining: Name of the retraining.
        points: Metric points with their steps and times of logging.

    Raises:
        UserInputError: The experiment is deleted, or the store refuses access.
        TrackingUnavailableError: The store does not answer, or cannot be written.
    """
    store = open_store(uri, experiment)
    identity = hashlib.sha256(retraining.encode()).hexdigest()[:16]
    with mlflow_calls(uri):
        run_id = find_run_of_tag(
            store.client, [store.experiment_id], names.MONITORING_TAG, identity
        )
        if run_id is None:
            tags = {
                names.RUN_NAME_TAG: f"{retraining} monitoring",
                names.MONITORING_TAG: identity,
            }
            run_id = create_run(store.client, store.experiment_id, tags)
            store.client.set_terminated(run_id, RunStatus.FINISHED.value)
        _log(store.client, run_id, points)
    return run_id


def _log(client: MlflowClient, run_id: str, points: Sequence[MetricPoint]) -> None:
    metrics = [Metric(point.name, point.value, point.time_ms, point.step) for point in points]
    for start in range(0, len(metrics), _POINTS_PER_REQUEST):
        client.log_batch(run_id, metrics=metrics[start : start + _POINTS_PER_REQUEST])
