"""Number and size of pods follow from lanes and trials."""

import pytest

from orchestrator.cluster.sizing import WorkerGroup, workers_of_run, workers_of_sweep
from orchestrator.config.cluster_jobs import SweepScaleConfig
from orchestrator.config.execution import RayConfig
from orchestrator.distributed.resources import check_fits

SCALE = SweepScaleConfig(min_trials=2, max_trials=5)


def execution(teacher: dict[str, object], student: dict[str, object]) -> RayConfig:
    return RayConfig.model_validate({"teacher": teacher, "student": student})


def test_lanes_of_equal_size_share_one_group() -> None:
    workers = workers_of_run(
        execution({"num_train_workers": 2, "num_cpus_per_worker": 3}, {"num_cpus_per_worker": 3})
    )
    assert workers.groups == (WorkerGroup("workers", 3, 3, 3.0),)
    assert (workers.settings, workers.is_elastic) == ((), False)


def test_lanes_of_different_size_select_their_pods_by_a_label() -> None:
    workers = workers_of_run(
        execution(
            {"num_gpus_per_worker": 1}, {"num_train_workers": [1, 4], "node_labels": {"zone": "a"}}
        )
    )
    teacher, student = workers.groups
    assert (teacher.gpus, teacher.labels) == (1, {"lane": "teacher"})
    assert (student.min_pods, student.max_pods, student.labels) == (
        1,
        4,
        {"zone": "a", "lane": "student"},
    )
    assert workers.settings == (
        "execution.teacher.node_labels.lane=teacher",
        "execution.student.node_labels.lane=student",
    )
    assert workers.is_elastic


def test_a_share_of_a_gpu_takes_a_whole_gpu_and_strict_pack_one_large_pod() -> None:
    lane = {
        "num_train_workers": 3,
        "num_gpus_per_worker": 0.5,
        "placement": "STRICT_PACK",
        "custom_resources_per_worker": {"fast": 2},
    }
    [group] = workers_of_run(execution(lane, lane)).groups
    assert group == WorkerGroup("workers", 2, 2, 3.0, 2, {"fast": 6.0})


@pytest.mark.parametrize(
    ("teacher", "student", "group"),
    [
        ({}, {}, WorkerGroup("trials", 2, 5, 1.0)),
        (
            {"num_cpus_per_worker": 4},
            {"num_gpus_per_worker": 0.25},
            WorkerGroup("trials", 2, 5, 4.0, 1),
        ),
    ],
    ids=["small", "the larger of both"],
)
def test_a_trial_without_lanes_is_one_pod(
    teacher: dict[str, object], student: dict[str, object], group: WorkerGroup
) -> None:
    assert workers_of_sweep(execution(teacher, student), SCALE).groups == (group,)


def test_a_sweep_with_lanes_has_the_pods_of_a_run_times_the_trials() -> None:
    workers = workers_of_sweep(execution({"num_train_workers": 2}, {}), SCALE)
    assert workers.groups == (WorkerGroup("workers", 2 * 3, 5 * 3, 1.0),)


@pytest.mark.parametrize("num", [1, 2, [1, 3]], ids=str)
@pytest.mark.parametrize("placement", ["PACK", "STRICT_PACK"])
def test_the_initial_pods_satisfy_the_resource_check_of_a_run(num: object, placement: str) -> None:
    """The check is applied to the sum of the pods' resources."""
    config = execution(
        {"num_train_workers": num, "num_cpus_per_worker": 2, "placement": placement},
        {"num_gpus_per_worker": 1, "placement": placement},
    )
    groups = workers_of_run(config).groups
    available = {
        "CPU": sum(group.min_pods * group.cpus for group in groups),
        "GPU": float(sum(group.min_pods * group.gpus for group in groups)),
    }
    check_fits(config, available, "the pods")
