"""Valid and invalid executions."""

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.config import Experiment
from orchestrator.config.execution import LaneConfig, RayConfig


def test_a_single_number_of_workers_is_a_range() -> None:
    assert (
        LaneConfig(num_train_workers=3).min_train_workers,
        LaneConfig(num_train_workers=3).max_train_workers,
    ) == (3, 3)
    elastic = LaneConfig.model_validate({"num_train_workers": [2, 5]})
    assert (elastic.min_train_workers, elastic.max_train_workers) == (2, 5)


def test_resources_of_a_worker_use_rays_names() -> None:
    lane = LaneConfig(
        num_cpus_per_worker=2, num_gpus_per_worker=0.5, custom_resources_per_worker={"disk": 1}
    )
    assert lane.resources_per_worker == {"CPU": 2, "GPU": 0.5, "disk": 1}
    assert LaneConfig().resources_per_worker == {"CPU": 1}


@pytest.mark.parametrize(
    ("lane", "message"),
    [
        (
            {"num_train_workers": [4, 2]},
            r"num_train_workers = \[4, 2\] is not \[min, max\]; swap them",
        ),
        (
            {"custom_resources_per_worker": {"GPU": 1}},
            "GPU has a field of its own; set num_gpus_per_worker",
        ),
        ({"num_train_workers": 0}, "greater than or equal to 1"),
        ({"num_cpus_per_worker": 0}, "greater than 0"),
    ],
    ids=["descending range", "GPU as custom resource", "no worker", "no CPU"],
)
def test_an_impossible_lane_is_rejected_with_advice(lane: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LaneConfig.model_validate(lane)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.cluster.local:6379"])
def test_an_address_names_a_clusters_head(address: str) -> None:
    assert RayConfig(address=address).address == address


@pytest.mark.parametrize("address", ["", "ray://10.0.0.1:10001", "10.0.0.1", "10.0.0.1:port"])
def test_an_address_that_is_no_head_is_rejected(address: str) -> None:
    with pytest.raises(ValidationError):
        RayConfig(address=address)


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("teacher", "teacher.training"),
        ("teacher", "teacher.refinement"),
        ("student", "student.training"),
    ],
)
def test_every_worker_must_get_a_share_of_each_batch(role: str, path: str) -> None:
    section = path.partition(".")[2]
    values = {"execution": {"kind": "ray", role: {"num_train_workers": [1, 3]}}}
    Experiment.model_validate({**values, role: {section: {"batch_size": 3}}})
    with pytest.raises(
        ValidationError,
        match=rf"{path}\.batch_size = 2 is too small for the 3 workers of execution\.{role}",
    ):
        Experiment.model_validate({**values, role: {section: {"batch_size": 2}}})
