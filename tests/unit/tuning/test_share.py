"""A trial's share of the cluster agrees with hand-worked arithmetic."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from orchestrator.config.execution import ExecutionConfig, InProcessConfig, LaneConfig, RayConfig
from orchestrator.config.search_space import SearchSpace
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.errors import ConfigError
from orchestrator.tuning.share import (
    TrialRoom,
    TrialShare,
    find_room,
    max_trials_at_once,
    trial_cluster,
)


def execution_of(**fields: Any) -> ExecutionConfig:  # noqa: ANN401 - plain values of YAML
    adapter: TypeAdapter[ExecutionConfig] = TypeAdapter(ExecutionConfig)
    return adapter.validate_python(fields)


def lanes(teacher: dict[str, Any], student: dict[str, Any]) -> TrialShare:
    return TrialShare.of(execution_of(kind="ray", teacher=teacher, student=student))


def test_two_lanes_of_one_worker_share_one_process_as_large_as_the_larger_lane() -> None:
    share = lanes({"num_cpus_per_worker": 2}, {"num_cpus_per_worker": 0.5})
    assert (share.in_lanes, share.resources) == (False, {"CPU": 2.0})
    assert share.threads == {"teacher": 2, "student": 1}


def test_lanes_of_several_workers_need_all_of_them_at_the_same_time() -> None:
    share = lanes({"num_train_workers": 3, "num_cpus_per_worker": 0.5}, {"num_cpus_per_worker": 2})
    assert (share.in_lanes, share.resources) == (True, {"CPU": 3 * 0.5 + 2})


def test_a_lane_with_node_labels_remains_a_lane() -> None:
    assert lanes({"node_labels": {"kind": "fast"}}, {}).in_lanes


def test_without_ray_a_trial_has_its_configured_threads_or_one() -> None:
    assert TrialShare.of(execution_of(kind="in_process", num_threads=3)).resources == {"CPU": 3.0}
    share = TrialShare.of(execution_of(kind="in_process"))
    assert (share.resources, share.threads, share.uses_gpu) == (
        {"CPU": 1.0},
        {"teacher": 1, "student": 1},
        False,
    )


def test_a_trial_on_a_gpu_takes_a_whole_gpu() -> None:
    share = TrialShare.of(execution_of(kind="in_process", num_threads=2, device="cuda"))
    assert (share.resources, share.uses_gpu) == ({"CPU": 2.0, "GPU": 1.0}, True)


@pytest.mark.parametrize(
    ("available", "expected"),
    [({"CPU": 2.0, "GPU": 9.0}, 1), ({"CPU": 7.5, "GPU": 9.0}, 3), ({"CPU": 100.0, "GPU": 2.0}, 2)],
)
def test_the_scarcest_resource_limits_the_number_of_trials(
    available: dict[str, float], expected: int
) -> None:
    share = TrialShare(
        {"CPU": 2.0, "GPU": 1.0}, {"teacher": 2, "student": 2}, in_lanes=False, uses_gpu=True
    )
    assert share.num_that_fit(available, "here") == expected


def test_if_no_trial_fits_the_message_shows_the_arithmetic() -> None:
    share = TrialShare(
        {"CPU": 2.0, "GPU": 0.5}, {"teacher": 2, "student": 2}, in_lanes=False, uses_gpu=True
    )
    with pytest.raises(
        ConfigError, match=r"a trial needs 0\.5 GPU, the cluster x has 0; lower"
    ) as refused:
        share.num_that_fit({"CPU": 4.0}, "the cluster x")
    assert refused.value.exit_code == 2


def test_a_trial_larger_than_this_machine_is_rejected_before_ray_starts() -> None:
    with pytest.raises(ConfigError, match="a trial needs 1024 CPU, this machine has"):
        find_room(InProcessConfig(num_threads=1024))


def test_concurrent_trials_are_limited_by_this_machine() -> None:
    num_cpus = cpus_of_this_machine()
    room = find_room(InProcessConfig(num_threads=1, device="cpu"))
    assert (room.num_at_once, room.available, room.shortage) == (num_cpus, {"CPU": num_cpus}, "")
    assert find_room(InProcessConfig(num_threads=num_cpus, device="cpu")).num_at_once == 1


def test_the_number_of_trials_is_unknown_on_an_autoscaling_cluster() -> None:
    growing = RayConfig(autoscaling=True, teacher=LaneConfig(num_cpus_per_worker=5000))
    assert find_room(growing).num_at_once is None


@pytest.mark.parametrize(
    ("fields", "num_that_fit", "expected"),
    [
        ({}, 4, 4),
        ({"max_concurrent_trials": 3}, 4, 3),
        ({"max_concurrent_trials": 5}, 4, 4),
        ({"max_concurrent_trials": 5}, None, 5),
        ({}, None, None),
        # the members of a population take turns
        ({"trial_scheduler": {"kind": "pbt"}}, 1, None),
        ({"trial_scheduler": {"kind": "pbt"}, "max_concurrent_trials": 2}, 1, 2),
    ],
)
def test_concurrent_trials_are_limited_by_room_and_setting(
    fields: dict[str, Any], num_that_fit: int | None, expected: int | None
) -> None:
    parameters = {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}}
    space = SearchSpace.model_validate(
        {"name": "test", "num_trials": 8, "parameters": parameters, **fields}
    )
    share = TrialShare.of(InProcessConfig())
    assert max_trials_at_once(space, TrialRoom(share, {}, num_that_fit)) == expected


def test_trials_without_ray_still_run_on_a_cluster_of_this_machine() -> None:
    ray = RayConfig(address="somewhere:1")
    assert trial_cluster(ray) is ray
    assert trial_cluster(InProcessConfig()).address is None


def test_a_local_cluster_requests_the_gpu_of_a_trial() -> None:
    cluster = trial_cluster(InProcessConfig(device="cuda", num_threads=2))
    assert (
        cluster.teacher.resources_per_worker
        == cluster.student.resources_per_worker
        == {"CPU": 2.0, "GPU": 1.0}
    )
    assert trial_cluster(InProcessConfig(device="auto")).teacher.resources_per_worker == {
        "CPU": 1.0
    }
