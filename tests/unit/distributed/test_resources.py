"""The resource arithmetic of the lanes."""

from typing import Any

import pytest

from orchestrator.config.execution import RayConfig
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.distributed.resources import (
    check_fits,
    check_room,
    num_workers_within,
)
from orchestrator.errors import ConfigError


def lanes(**fields: Any) -> RayConfig:  # noqa: ANN401 - parts of a configuration
    return RayConfig.model_validate({"kind": "ray", **fields})


def test_lanes_that_need_exactly_the_available_resources_fit() -> None:
    check_fits(
        lanes(teacher={"num_train_workers": 3}, student={"num_cpus_per_worker": 2}),
        {"CPU": 5},
        "here",
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            lanes(teacher={"num_train_workers": 4}, student={"num_cpus_per_worker": 2}),
            (
                "the lanes need 6 CPU at the same time (teacher lane 4 x 1 + student lane 1 x 2),"
                " here has 5"
            ),
        ),
        (
            lanes(student={"num_gpus_per_worker": 1}),
            (
                "the lanes need 1 GPU at the same time (teacher lane 1 x 0 + student lane 1 x 1),"
                " here has 0"
            ),
        ),
        (
            lanes(teacher={"custom_resources_per_worker": {"disk": 2}}),
            (
                "the lanes need 2 disk at the same time (teacher lane 1 x 2 + student lane 1 x 0),"
                " here has 0"
            ),
        ),
    ],
    ids=["CPU", "GPU", "custom"],
)
def test_lanes_that_do_not_fit_are_reported_with_the_arithmetic(
    config: RayConfig, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        check_fits(config, {"CPU": 5}, "here")
    assert message in str(raised.value)
    assert raised.value.exit_code == 2


def test_an_elastic_lane_needs_its_minimum_of_workers() -> None:
    check_fits(lanes(teacher={"num_train_workers": [1, 100]}), {"CPU": 2}, "here")
    with pytest.raises(ConfigError, match="teacher lane 2 x 1"):
        check_fits(lanes(teacher={"num_train_workers": [2, 100]}), {"CPU": 2}, "here")


@pytest.mark.parametrize(
    ("lane", "field"),
    [
        ({"node_labels": {"pool": "gpu"}}, "node_labels"),
        ({"num_train_workers": 2, "placement": "STRICT_SPREAD"}, "placement"),
    ],
)
def test_settings_that_need_a_cluster_are_rejected_on_this_machine(
    lane: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError, match=rf"execution\.student\.{field}"):
        check_room(
            lanes(
                teacher={"num_cpus_per_worker": 0.01}, student={"num_cpus_per_worker": 0.01, **lane}
            )
        )


def test_an_elastic_lane_leaves_the_other_one_its_minimum_of_workers() -> None:
    config = lanes(teacher={"num_train_workers": [1, 4]}, student={"num_train_workers": [2, 9]})
    assert num_workers_within("teacher", config, {"CPU": 5}) == (1, 3)
    assert num_workers_within("student", config, {"CPU": 5}) == (2, 4)
    assert num_workers_within("teacher", config, {"CPU": 100}) == (1, 4)


def test_the_scarcest_resource_limits_an_elastic_lane() -> None:
    config = lanes(teacher={"num_train_workers": [1, 4], "num_gpus_per_worker": 1})
    assert num_workers_within("teacher", config, {"CPU": 10, "GPU": 2}) == (1, 2)


def test_an_elastic_lane_keeps_its_minimum_and_a_fixed_one_its_number() -> None:
    config = lanes(teacher={"num_train_workers": [2, 4]}, student={"num_train_workers": 3})
    assert num_workers_within("teacher", config, {"CPU": 1}) == (2, 2)
    assert num_workers_within("student", config, {"CPU": 1}) == 3


def test_an_autoscaling_cluster_limits_nothing() -> None:
    config = lanes(teacher={"num_train_workers": [1, 4]}, autoscaling=True)
    assert num_workers_within("teacher", config, {"CPU": 1}) == (1, 4)


def test_this_machine_has_at_least_one_cpu() -> None:
    assert cpus_of_this_machine() >= 1


def test_a_finished_lane_needs_no_resources() -> None:
    config = lanes(teacher={"num_train_workers": 3}, student={"num_train_workers": [1, 2]})
    check_fits(config, {"CPU": 1}, "what is left", ["student"])
    with pytest.raises(
        ConfigError,
        match=r"the lanes need 3 CPU at the same time \(teacher lane 3 x 1\), what is left has 1",
    ):
        check_fits(config, {"CPU": 1}, "what is left", ["teacher"])
