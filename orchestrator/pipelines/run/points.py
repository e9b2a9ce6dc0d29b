"""Turn results into the metric points of runs and trials in MLflow. A *metric point* is the value
of a metric at a step.

Every function here is pure: equal results give equal points. `tracking.names` defines the step of
each metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from orchestrator.config.roles import ROLES
from orchestrator.evaluation import (
    accuracy_after,
    average_incremental_accuracy,
    backward_transfer,
    forgetting_after,
    forgetting_of_task,
)
from orchestrator.pipelines.run.record import EpochResult, Result, StageResult
from orchestrator.tracking import names
from orchestrator.tracking.tracker import MetricPoint


def points_of(result: Result) -> list[MetricPoint]:
    """Return the metric points of a finished epoch or stage."""
    match result:
        case EpochResult():
            return _points_of_epoch(result)
        case StageResult():
            return _points_of_stage(result)
        case _:
            assert_never(result)


def final_points(summary: Mapping[str, Any]) -> list[MetricPoint]:
    """Return the final metrics of a run as metric points.

    Args:
        summary: The content of the run's summary.json.
    """
    values = {
        names.final_metric(role, measure): summary[role][measure]
        for role in ROLES
        for measure in names.FINAL_MEASURES
    }
    values[names.FINAL_WALL_SECONDS] = summary["wall_seconds"]
    values[names.FINAL_WORKER_SECONDS] = summary["worker_seconds"]
    values[names.FINAL_CACHED_STAGES] = sum(stage["cached"] for stage in summary["stages"])
    if unlabeled := summary.get("unlabeled"):
        values[names.FINAL_UNLABELED_IMAGES] = unlabeled["num_images"]
        values[names.FINAL_UNLABELED_LEFT_OUT] = sum(unlabeled["num_left_out"].values())
        values[names.FINAL_UNLABELED_SURE] = sum(it["num_sure"] for it in unlabeled["classes"])
    return _at(names.FINAL_STEP, values)


def _points_of_epoch(result: EpochResult) -> list[MetricPoint]:
    """Return one metric point for each training curve of the role. Metrics without a training curve
    are not logged.
    """
    role = result.stage.role
    values = {
        names.training_metric(role, part): value
        for part, value in result.report.metrics.items()
        if part in names.TRAINING_PARTS[role]
    }
    return _at(result.num_epochs_of_lane, values)


def _points_of_stage(result: StageResult) -> list[MetricPoint]:
    """Return the metric points of a stage: the newest row of the accuracy matrix, and the metrics
    computed from all rows so far.
    """
    role, learned, matrix = result.stage.role, result.stage.task.index, result.matrix
    values = {
        names.summary_metric(role, "accuracy"): accuracy_after(matrix, learned),
        names.summary_metric(role, "average_incremental_accuracy"): average_incremental_accuracy(
            matrix
        ),
        names.summary_metric(role, "forgetting"): forgetting_after(matrix, learned),
        names.summary_metric(role, "backward_transfer"): backward_transfer(matrix),
    }
    for task, accuracy in enumerate(matrix[learned]):
        values[names.task_accuracy(role, task)] = accuracy
        forgotten = forgetting_of_task(matrix, learned, task) if task < learned else 0.0
        values[names.task_forgetting(role, task)] = forgotten
    return _at(learned + 1, values)


def _at(step: int, values: Mapping[str, float]) -> list[MetricPoint]:
    return [MetricPoint(name, value, step) for name, value in values.items()]
