"""Log the monitoring of a retraining to one run, apart from the runs of its candidates.

A tick that trains no candidate has no run of its own, and a candidate's run has already ended when
the candidate is judged.
The monitoring run is always FINISHED, so it is never closed as abandoned.
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
    """Log points to the monitoring run of a retraining, created if missing; return the run's id.

    A point that is logged twice is stored once.

    Args:
        uri: URI of the store; supported and absolute.
        experiment: MLflow experiment of the retraining.
        retraining: Name of the retraining.
        points: Points with their steps and times.

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
