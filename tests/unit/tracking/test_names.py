"""Frozen surface: renaming a metric or tag breaks dashboards and saved views, so a rename must
change this file (files: `tests/unit/test_output_files.py`).
"""

import pytest

from orchestrator.tracking import names


def test_the_metric_names_of_a_run_of_two_tasks_are_frozen() -> None:
    assert set(names.all_metrics(2)) == {
        "teacher/accuracy",
        "teacher/average_incremental_accuracy",
        "teacher/forgetting",
        "teacher/backward_transfer",
        "student/accuracy",
        "student/average_incremental_accuracy",
        "student/forgetting",
        "student/backward_transfer",
        "teacher_accuracy/task_00",
        "teacher_accuracy/task_01",
        "teacher_forgetting/task_00",
        "teacher_forgetting/task_01",
        "student_accuracy/task_00",
        "student_accuracy/task_01",
        "student_forgetting/task_00",
        "student_forgetting/task_01",
        "teacher_training/loss",
        "teacher_training/push",
        "teacher_training/pull",
        "student_training/loss",
        "student_training/embedding",
        "student_training/kdr",
        "student_training/tstr",
        "student_training/tssr",
        "final/teacher_last_accuracy",
        "final/teacher_average_incremental_accuracy",
        "final/teacher_forgetting",
        "final/student_last_accuracy",
        "final/student_average_incremental_accuracy",
        "final/student_forgetting",
        "final/wall_seconds",
        "final/worker_seconds",
        "final/cached_stages",
    }


def test_the_additional_metric_names_of_a_trial_are_frozen() -> None:
    assert set(names.TRIAL_METRICS) == {
        "trial/objective",
        "trial/stages_computed",
        "trial/stages_cached",
        "trial/seconds",
    }
    assert {
        value
        for key, value in vars(names).items()
        if key.startswith("TRIAL_") and not key.endswith(("_TAG", "_METRICS"))
    } == set(names.TRIAL_METRICS)


def test_the_metric_names_of_a_monitoring_run_are_frozen() -> None:
    assert set(names.MONITORING_METRICS) == {
        "monitoring/images",
        "monitoring/agreement",
        "monitoring/held_out_agreement",
        "monitoring/far_share",
        "monitoring/expected_far_share",
        "monitoring/class_distance",
        "monitoring/findings",
    }


def test_no_metric_name_occurs_twice() -> None:
    of_a_trial = names.all_metrics(12) + names.TRIAL_METRICS
    assert len(set(of_a_trial)) == len(of_a_trial)


@pytest.mark.parametrize(("num_tasks", "num_metrics"), [(5, 45), (20, 105)])
def test_the_number_of_metrics_is_linear_in_the_number_of_tasks(
    num_tasks: int, num_metrics: int
) -> None:
    """MLflow's pages draw one chart for each metric, and freeze at a thousand."""
    assert len(names.all_metrics(num_tasks)) == num_metrics == 25 + 4 * num_tasks
    assert len(names.TRIAL_METRICS) == 4


def test_the_primary_metric_is_one_that_every_run_logs() -> None:
    assert names.PRIMARY_METRIC in names.all_metrics(1)


def test_tasks_sort_by_name_as_by_number() -> None:
    tasks = [names.task_accuracy("teacher", task) for task in range(100)]
    assert tasks == sorted(tasks)


def test_tag_keys_are_frozen() -> None:
    assert {value for key, value in vars(names).items() if key.endswith("_TAG")} == {
        "orchestrator.method",
        "orchestrator.monitoring",
        "orchestrator.retraining",
        "orchestrator.state",
        "orchestrator.seed",
        "orchestrator.dataset",
        "orchestrator.heartbeat",
        "orchestrator.spool_id",
        "orchestrator.dataset_fingerprint",
        "orchestrator.status_reason",
        "orchestrator.host",
        "orchestrator.process",
        "orchestrator.process_started",
        "orchestrator.sweep",
        "orchestrator.trial",
        "mlflow.parentRunId",
        "mlflow.runName",
        "mlflow.user",
        "mlflow.source.git.commit",
        "mlflow.source.git.dirty",
    }


def test_the_additional_metric_names_of_runs_with_images_without_labels_are_frozen() -> None:
    assert names.UNLABELED_METRICS == (
        "final/unlabeled_images",
        "final/unlabeled_left_out",
        "final/unlabeled_sure",
    )
