"""Both lanes at once, seen from the process that started the run: started, listened to, and ended
whatever happens.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import (
    ControllerError,
    FailureConfig,
    PreemptionError,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from ray.train.backend import BackendConfig
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import (
    InsufficientClusterResourcesError,
    RayTrainError,
    UserExceptionWithTraceback,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
from ray.train.v2.api.callback import RayTrainCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.distributed.cluster import cluster, naming_log
from orchestrator.distributed.event_channel import EventChannel
from orchestrator.distributed.event_replay import EventReplay
from orchestrator.distributed.lane import LaneTask, run_lane
from orchestrator.distributed.resources import check_fits, lanes_of, num_workers_within
from orchestrator.errors import (
    ClusterUnavailableError,
    ConfigError,
    LaneFailedError,
    LaneLostError,
    OrchestratorError,
    StorageUnavailableError,
    UserInputError,
)
from orchestrator.stages import Work
from orchestrator.stages.events import StageListener
from orchestrator.stages.retention import RAY_FOLDER

_RECEIVE_SECONDS = 1.0
_NO_ROOM = (
    InsufficientClusterResourcesError,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
)
_GO_ON = "the same command goes on where it was"


def compute_on_ray(
    work: Work, execution: RayConfig, listener: StageListener, log_file: Path
) -> None:
    """Computes all stages in two Ray Train runs at the same time: the teacher lane, and one behind
    it the student lane.

    Args:
        work: What to compute.
        execution: The cluster, and what each lane asks for.
        listener: Receives every event, in this process.
        log_file: Where Ray's own words go.

    Raises:
        ConfigError: The lanes do not fit into the cluster.
        UserInputError: The learning does not work with this configuration.
        TransientError: Cluster or store cannot be reached, or a lane lost its workers too often.
        LaneFailedError: A worker met an unknown error.
    """
    with naming_log(log_file), cluster(execution, log_file):
        if execution.address is not None and not execution.autoscaling:
            check_fits(execution, ray.cluster_resources(), f"the cluster {execution.address}")
        compute_in_lanes(work, execution, listener)


def compute_in_lanes(
    work: Work, execution: RayConfig, listener: StageListener, claims: str | None = None
) -> None:
    """The same, in a cluster to which this process is connected already.

    Args:
        work: What to compute.
        execution: What each lane asks for.
        listener: Receives every event, in this process.
        claims: Name of the claims to stages that others of this cluster may be computing; None when
            there are no others.

    Raises:
        UserInputError: The learning does not work with this configuration.
        TransientError: Cluster or store cannot be reached, or a lane lost its workers too often.
        LaneFailedError: A worker met an unknown error.
    """
    token = secrets.token_hex(6)
    try:
        with tempfile.TemporaryDirectory(
            prefix="orchestrator-ray-", ignore_cleanup_errors=True
        ) as scratch:
            roles = [role for role in ROLES if any(stage.role == role for stage in work.stages)]
            tasks = [_task(role, work, execution, token, claims) for role in roles]
            lanes = [
                _Lane(task.role, _trainer(task, work, execution, token, scratch), execution)
                for task in tasks
            ]
            _run(lanes, EventReplay(work, listener), token, _RoomWatch(execution))
    finally:
        with suppress(StorageUnavailableError):
            for role in ROLES:
                work.store.remove_folder(RAY_FOLDER, _lane_name(role, token))


def _run(lanes: Sequence[_Lane], replay: EventReplay, token: str, room: _RoomWatch) -> None:
    """Starts the lanes, and listens until all have ended."""
    lanes[0].start()
    channel = EventChannel(_channel_name(token))
    while not all(lane.has_ended for lane in lanes):
        # one after the other: lanes that start at once take each other's CPU, and the student has
        # nothing to do yet
        waiting = [lane for lane in lanes if not lane.has_begun]
        if waiting and (
            not replay.is_empty or all(lane.has_ended for lane in lanes if lane.has_begun)
        ):
            waiting[0].start()
        for event in channel.receive(_RECEIVE_SECONDS):
            replay(event)
        open_roles = [lane.role for lane in lanes if not lane.has_ended]
        for lane in lanes:
            try:
                lane.raise_error()
            except ClusterUnavailableError:
                # where nodes are gone, the arithmetic says more than that they did not come
                if shortage := room.shortage([*open_roles, lane.role]):
                    raise shortage from None
                raise
        room.check(open_roles)
    for lane in lanes:
        lane.raise_error()
    for event in channel.receive(0):
        replay(event)
    replay.finish()


def _lane_name(role: Role, token: str) -> str:
    return f"{role}-{token}"


def _channel_name(token: str) -> str:
    return f"orchestrator-events-{token}"


class _RoomWatch:
    """Sees that an elastic lane does not wait for ever when nodes are gone for good: Ray knows no
    end there.
    """

    def __init__(self, execution: RayConfig) -> None:
        self._execution = execution
        self._is_needed = not execution.autoscaling and any(
            lane.min_train_workers < lane.max_train_workers for lane in lanes_of(execution).values()
        )
        self._patience_seconds = execution.start_timeout_seconds * execution.max_start_attempts
        self._too_small_since: float | None = None

    def check(self, roles: Collection[Role]) -> None:
        """Asks for what is left of the cluster.

        Args:
            roles: Of the lanes that have not ended.

        Raises:
            ClusterUnavailableError: For longer than lanes may take to start it had no room for
                their fewest workers.
        """
        if not self._is_needed:
            return
        shortage = self.shortage(roles)
        if shortage is None:
            self._too_small_since = None
            return
        self._too_small_since = self._too_small_since or time.monotonic()
        if time.monotonic() - self._too_small_since > self._patience_seconds:
            raise shortage

    def shortage(self, roles: Collection[Role]) -> ClusterUnavailableError | None:
        """What is wrong with what is left of the cluster, if it has no room for these lanes' fewest
        workers and cannot grow.
        """
        if self._execution.autoscaling:
            return None
        try:
            check_fits(
                self._execution, ray.cluster_resources(), "what is left of the cluster", roles
            )
        except ConfigError as error:
            return ClusterUnavailableError(error.what, error.where, f"add nodes; {_GO_ON}")
        return None


class _Lane:
    """One Ray Train run, in a thread of this process."""

    def __init__(self, role: Role, trainer: DataParallelTrainer, execution: RayConfig) -> None:
        self.role = role
        self._config = lanes_of(execution)[role]
        self._error: BaseException | None = None
        self._return_value: Any = None
        self._trainer = trainer
        # a daemon: an interrupted driver does not wait for it
        self._thread = threading.Thread(target=self._fit, name=f"{role} lane", daemon=True)

    @property
    def has_begun(self) -> bool:
        return self._thread.ident is not None

    @property
    def has_ended(self) -> bool:
        return self.has_begun and not self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def _fit(self) -> None:
        try:
            self._return_value = self._trainer.fit().return_value
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._error = error

    def raise_error(self) -> None:
        """Raises what has ended the lane, if it was an error, in the words of this program."""
        if self._return_value is not None:
            raise UserInputError(**self._return_value)
        if self._error is not None:
            raise _as_own_error(self._error, f"{self.role} lane", self._config) from self._error


class _TrainerOnOwnCluster(DataParallelTrainer):  # type: ignore[misc] # Ray's own types are not those that run
    """A trainer without two helpers that a cluster of this run alone does not need.

    One removes placement groups of controllers that have died: here the whole cluster ends with the
    run. Without a dashboard it also fails, once a second, for 5 % of a CPU. The other one waits for
    data sets of Ray Data: there are none.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        callbacks = super()._create_default_callbacks()
        return [
            callback
            for callback in callbacks
            if not isinstance(callback, PlacementGroupCleanerCallback | DatasetsCallback)
        ]


def _task(role: Role, work: Work, execution: RayConfig, token: str, claims: str | None) -> LaneTask:
    lane = lanes_of(execution)[role]
    return LaneTask(
        role=role,
        experiment=work.experiment.model_dump(mode="json"),
        keys=[stage.key for stage in work.stages if stage.role == role],
        channel=_channel_name(token),
        num_threads=lane.num_threads,
        use_gpu=lane.num_gpus_per_worker > 0,
        claims=claims,
    )


def _trainer(
    task: LaneTask, work: Work, execution: RayConfig, token: str, scratch: str
) -> DataParallelTrainer:
    role, lane = task.role, lanes_of(execution)[task.role]
    scaling = ScalingConfig(
        num_workers=num_workers_within(role, execution, ray.cluster_resources()),
        use_gpu=lane.num_gpus_per_worker > 0,
        resources_per_worker=lane.resources_per_worker,
        placement_strategy=lane.placement,
        label_selector=lane.node_labels or None,
    )
    failures = FailureConfig(
        max_failures=execution.max_worker_failures,
        controller_failure_limit=execution.max_start_attempts - 1,
        max_preemption_failures=execution.max_preemptions,
    )
    trainer = _TrainerOnOwnCluster if execution.address is None else DataParallelTrainer
    return trainer(
        run_lane,
        train_loop_config=task.as_json(),
        backend_config=_process_group(lane),
        scaling_config=scaling,
        run_config=RunConfig(
            name=_lane_name(role, token),
            failure_config=failures,
            **_ray_storage(work, execution, scratch),
        ),
    )


def _process_group(lane: LaneConfig) -> BackendConfig | None:
    """How the workers of a lane reach each other; one alone needs nobody, and Ray's controller then
    starts without loading torch.
    """
    if lane.max_train_workers == 1:
        return None
    from ray.train.torch import TorchConfig  # noqa: PLC0415 - slow to import

    return TorchConfig(backend="cpu:gloo,cuda:nccl" if lane.num_gpus_per_worker else "gloo")


def _ray_storage(work: Work, execution: RayConfig, scratch: str) -> dict[str, Any]:
    """Ray Train wants a folder that all nodes see; results and checkpoints are in the stage
    store.
    """
    if execution.address is None:
        return {"storage_path": scratch}
    return {
        "storage_path": work.store.path(RAY_FOLDER),
        "storage_filesystem": work.store.filesystem,
    }


def _as_own_error(error: BaseException, lane: str, config: LaneConfig) -> OrchestratorError:
    if isinstance(error, PreemptionError):
        return LaneLostError(
            "its nodes were taken away more often than execution.max_preemptions allows",
            lane,
            _GO_ON,
        )
    if isinstance(error, ControllerError) and isinstance(error.controller_failure, _NO_ROOM):
        asked = ", ".join(
            f"{amount:g} {name}" for name, amount in config.resources_per_worker.items()
        )
        what = f"the cluster did not give it its {config.min_train_workers} x ({asked}) in time"
        return ClusterUnavailableError(
            what, lane, "wait until the cluster has room, or ask for less"
        )
    if isinstance(error, WorkerGroupError):
        return _as_own_error_of_worker([*error.worker_failures.values()], lane)
    if isinstance(error, RayError | RayTrainError):
        return LaneLostError(
            "the Ray cluster has ended"
            f" ({_first_line(getattr(error, 'controller_failure', error))})",
            lane,
            _GO_ON,
        )
    return LaneFailedError(
        f"{type(error).__name__}: {error}", lane, "this is a bug; please report it"
    )


def _as_own_error_of_worker(causes: Sequence[BaseException], lane: str) -> OrchestratorError:
    """The error that says most: when one worker fails, the others of its lane complain of a lost
    connection.
    """
    for cause in causes:
        if isinstance(cause, OrchestratorError):
            return cause
    for cause in causes:
        if isinstance(cause, RayError | RayTrainError) and not isinstance(
            cause, UserExceptionWithTraceback
        ):
            what = (
                "its workers died more often than execution.max_worker_failures allows"
                f" ({_first_line(cause)})"
            )
            return LaneLostError(what, lane, _GO_ON)
    return LaneFailedError(
        f"{type(causes[0]).__name__}: {causes[0]}", lane, "this is a bug; please report it"
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
