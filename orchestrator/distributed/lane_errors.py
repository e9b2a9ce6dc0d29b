"""Translate the errors of Ray Train that end a lane into this program's errors. A lane is the Ray
Train run that learns the stages of one role.
"""

from __future__ import annotations

from collections.abc import Sequence

from ray.exceptions import RayError
from ray.train import ControllerError, PreemptionError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    InsufficientClusterResourcesError,
    RayTrainError,
    UserExceptionWithTraceback,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)

from orchestrator.config.execution import LaneConfig
from orchestrator.errors import (
    ClusterUnavailableError,
    LaneFailedError,
    LaneLostError,
    OrchestratorError,
)

_NO_ROOM = (
    InsufficientClusterResourcesError,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
RESUME = "rerun the same command to resume"


def as_own_error(error: BaseException, lane: str, config: LaneConfig) -> OrchestratorError:
    """Return this program's error for the error of Ray Train that ended a lane.

    Args:
        error: The error that Ray Train raised.
        lane: Name of the lane, for the message.
        config: The lane's configuration.
    """
    if isinstance(error, PreemptionError):
        return LaneLostError(
            "the lane lost nodes to preemption more often than execution.max_preemptions allows",
            lane,
            RESUME,
        )
    if isinstance(error, ControllerError) and isinstance(error.controller_failure, _NO_ROOM):
        asked = ", ".join(
            f"{amount:g} {name}" for name, amount in config.resources_per_worker.items()
        )
        what = (
            f"the cluster did not provide the lane's {config.min_train_workers} x ({asked}) in time"
        )
        return ClusterUnavailableError(
            what, lane, "wait until the cluster has room, or request less"
        )
    if isinstance(error, WorkerGroupError):
        return _error_of_workers([*error.worker_failures.values()], lane)
    if isinstance(error, RayError | RayTrainError):
        failure = _first_line(getattr(error, "controller_failure", error))
        return LaneLostError(f"the Ray cluster has ended ({failure})", lane, RESUME)
    return _unknown(error, lane)


def _error_of_workers(causes: Sequence[BaseException], lane: str) -> OrchestratorError:
    """Return the most informative of the workers' errors: when one worker of a lane fails, the
    lane's other workers only report a lost connection.
    """
    for cause in causes:
        if isinstance(cause, OrchestratorError):
            return cause
    for cause in causes:
        if isinstance(cause, RayError | RayTrainError) and not isinstance(
            cause, UserExceptionWithTraceback
        ):
            what = (
                "the lane's workers died more often than execution.max_worker_failures allows"
                f" ({_first_line(cause)})"
            )
            return LaneLostError(what, lane, RESUME)
    return _unknown(causes[0], lane)


def _unknown(error: BaseException, lane: str) -> LaneFailedError:
    return LaneFailedError(
        f"{type(error).__name__}: {error}", lane, "this is a bug; please report it"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
