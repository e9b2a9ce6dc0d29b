"""Define the names of the metrics and tags of runs in one place, so that a rename is visible.

The beginning of a metric's name tells what the steps of the metric count:

```
<role>, <role>_accuracy, <role>_forgetting   tasks learned, from 1 on
<role>_training                              epochs of the role so far, over all its tasks
final                                        nothing: a run logs one value, at `FINAL_STEP`
monitoring                                   checks of unlabelled images in a retraining
trial (only for trials of a sweep)           tasks learned for objectives, otherwise nothing
```

Tasks are counted from 1, because MLflow draws a line only from step 1 on. MLflow's page shows one
section for each prefix of names (the part before the last `/`). Each prefix therefore stands for
one question about a run, such as forgetting, and not for one task.
"""

from typing import Literal, TypeAlias

from orchestrator.config.roles import ROLES, Role

SummaryMeasure: TypeAlias = Literal[
    "accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer"
]
FinalMeasure: TypeAlias = Literal["last_accuracy", "average_incremental_accuracy", "forgetting"]

SUMMARY_MEASURES: tuple[SummaryMeasure, ...] = (
    "accuracy",
    "average_incremental_accuracy",
    "forgetting",
    "backward_transfer",
)
FINAL_MEASURES: tuple[FinalMeasure, ...] = (
    "last_accuracy",
    "average_incremental_accuracy",
    "forgetting",
)
TRAINING_PARTS: dict[Role, tuple[str, ...]] = {
    "teacher": ("loss", "push", "pull"),
    "student": ("loss", "embedding", "kdr", "tstr", "tssr"),
}

FINAL_STEP = 0
FINAL_WALL_SECONDS = "final/wall_seconds"
FINAL_WORKER_SECONDS = "final/worker_seconds"
FINAL_CACHED_STAGES = "final/cached_stages"
FINAL_UNLABELED_IMAGES = "final/unlabeled_images"
FINAL_UNLABELED_LEFT_OUT = "final/unlabeled_left_out"
FINAL_UNLABELED_SURE = "final/unlabeled_sure"
UNLABELED_METRICS = (FINAL_UNLABELED_IMAGES, FINAL_UNLABELED_LEFT_OUT, FINAL_UNLABELED_SURE)
"""Metrics of runs that learn from unlabelled images: the number of images that the run uses, the
number that the run skips, and the number that the final teacher classifies with confidence."""
MONITORING_IMAGES = "monitoring/images"
MONITORING_AGREEMENT = "monitoring/agreement"
MONITORING_HELD_OUT_AGREEMENT = "monitoring/held_out_agreement"
MONITORING_FAR_SHARE = "monitoring/far_share"
MONITORING_EXPECTED_FAR_SHARE = "monitoring/expected_far_share"
MONITORING_CLASS_DISTANCE = "monitoring/class_distance"
MONITORING_FINDINGS = "monitoring/findings"
MONITORING_METRICS = (
    MONITORING_IMAGES,
    MONITORING_AGREEMENT,
    MONITORING_HELD_OUT_AGREEMENT,
    MONITORING_FAR_SHARE,
    MONITORING_EXPECTED_FAR_SHARE,
    MONITORING_CLASS_DISTANCE,
    MONITORING_FINDINGS,
)
"""Metrics of a retraining's monitoring run: one step is one check of unlabelled images."""
PRIMARY_METRIC = "final/student_average_incremental_accuracy"

TRIAL_OBJECTIVE = "trial/objective"
TRIAL_STAGES_COMPUTED = "trial/stages_computed"
TRIAL_STAGES_CACHED = "trial/stages_cached"
TRIAL_SECONDS = "trial/seconds"
TRIAL_METRICS = (TRIAL_OBJECTIVE, TRIAL_STAGES_COMPUTED, TRIAL_STAGES_CACHED, TRIAL_SECONDS)

METHOD_TAG = "orchestrator.method"
SEED_TAG = "orchestrator.seed"
DATASET_TAG = "orchestrator.dataset"
DATASET_FINGERPRINT_TAG = "orchestrator.dataset_fingerprint"
STATUS_REASON_TAG = "orchestrator.status_reason"
HOST_TAG = "orchestrator.host"
PROCESS_TAG = "orchestrator.process"
PROCESS_STARTED_TAG = "orchestrator.process_started"
# Run id of the sweep, set on each trial: run searches on MLflow's page do not show a run's parent.
SWEEP_TAG = "orchestrator.sweep"
HEARTBEAT_TAG = "orchestrator.heartbeat"  # last time, in UTC, at which the run's process was alive
SPOOL_ID_TAG = "orchestrator.spool_id"  # id of a run, such as a child, before MLflow created it
TRIAL_TAG = "orchestrator.trial"
RETRAINING_TAG = "orchestrator.retraining"  # a retraining's name, on runs that train a candidate
STATE_TAG = "orchestrator.state"  # state of a candidate's version; on a run: the gate's verdict
MONITORING_TAG = "orchestrator.monitoring"  # on a monitoring run: digest of the retraining's name
PARENT_RUN_TAG = "mlflow.parentRunId"
RUN_NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"
GIT_COMMIT_TAG = "mlflow.source.git.commit"
GIT_DIRTY_TAG = "mlflow.source.git.dirty"
EXPERIMENT_TAGS = {
    # Without the tag `mlflow.experimentKind`, MLflow's UI guesses whether the experiment is about
    # GenAI or training.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": PRIMARY_METRIC,
    "mlflow.experiment.primaryMetric.greaterIsBetter": "true",
}


def summary_metric(role: Role, measure: SummaryMeasure) -> str:
    """Return the name of a metric over all tasks learned so far, such as `teacher/forgetting`."""
    return f"{role}/{measure}"


def task_accuracy(role: Role, task_index: int) -> str:
    """Return the metric name of the test accuracy on a task, such as `teacher_accuracy/task_00`."""
    return f"{role}_accuracy/task_{task_index:02d}"


def task_forgetting(role: Role, task_index: int) -> str:
    """Return the metric name of a task's forgetting, such as `student_forgetting/task_00`."""
    return f"{role}_forgetting/task_{task_index:02d}"


def training_metric(role: Role, part: str) -> str:
    """Return the name of a training metric, with one value per epoch, such as
    `student_training/kdr`.
    """
    return f"{role}_training/{part}"


def final_metric(role: Role, measure: FinalMeasure) -> str:
    """Return the name of a final metric of a run, such as `final/student_last_accuracy`."""
    return f"final/{role}_{measure}"


def trial_value(metric: str) -> str:
    """Return the metric name of a trial's objective, such as `trial/student/num_parameters`."""
    return f"trial/{metric}"


def all_metrics(num_tasks: int) -> tuple[str, ...]:
    """Return the names of the metrics of a run over `num_tasks` tasks, without `UNLABELED_METRICS`.

    A comparison method does not log `kdr`, and a closed-form method logs no metrics of epochs.
    Every run logs all other metrics, because MLflow's parallel-coordinates chart omits a run that
    lacks a metric of the chart.
    """
    names: list[str] = []
    for role in ROLES:
        names += [summary_metric(role, measure) for measure in SUMMARY_MEASURES]
        names += [task_accuracy(role, task) for task in range(num_tasks)]
        names += [task_forgetting(role, task) for task in range(num_tasks)]
        names += [training_metric(role, part) for part in TRAINING_PARTS[role]]
        names += [final_metric(role, measure) for measure in FINAL_MEASURES]
    return (*names, FINAL_WALL_SECONDS, FINAL_WORKER_SECONDS, FINAL_CACHED_STAGES)
