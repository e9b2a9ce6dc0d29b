"""Ray's exceptions become errors of this program that say who must act and whether to retry."""

from __future__ import annotations

import pytest
from ray.exceptions import ActorDiedError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.distributed.lane_errors import as_own_error
from orchestrator.errors import (
    ClusterUnavailableError,
    LaneFailedError,
    LaneLostError,
    OrchestratorError,
    StorageUnavailableError,
)

FULL = StorageUnavailableError("is full", "store", "free some space")


@pytest.fixture
def lane() -> LaneConfig:
    return RayConfig(kind="ray").teacher


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (ControllerError(WorkerGroupStartupTimeoutError(2)), ClusterUnavailableError, "1 x (1 CPU"),
        (WorkerGroupError("failed", {0: ActorDiedError()}), LaneLostError, "died more often"),
        (WorkerGroupError("failed", {0: ValueError("odd")}), LaneFailedError, "ValueError: odd"),
        (ActorDiedError(), LaneLostError, "the Ray cluster has ended"),
        (ValueError("odd"), LaneFailedError, "ValueError: odd"),
    ],
)
def test_each_ray_error_becomes_one_of_this_programs(
    raised: Exception, expected: type[OrchestratorError], text: str, lane: LaneConfig
) -> None:
    error = as_own_error(raised, "teacher lane", lane)
    assert type(error) is expected
    assert text in error.what
    assert error.where == "teacher lane"


def test_of_several_workers_errors_the_one_with_the_reason_is_reported(lane: LaneConfig) -> None:
    failures: dict[int, Exception] = {0: ActorDiedError(), 1: ValueError("lost"), 2: FULL}
    assert as_own_error(WorkerGroupError("failed", failures), "student lane", lane) is FULL
