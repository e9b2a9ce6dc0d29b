"""Both lanes at once, seen from the process that started the run: started, listened to, and ended whatever happens."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError, WorkerCrashedError
from ray.train import ControllerError, FailureConfig, PreemptionError, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from orchestrator.config.execution import LaneConfig, RayConfig
from orchestrator.distributed.board import Board
from orchestrator.distributed.cluster import cluster
from orchestrator.distributed.lane import LaneTask, run_lane
from orchestrator.distributed.resources import lanes_of
from orchestrator.errors import ClusterUnavailableError, LaneFailedError, LaneLostError, OrchestratorError, UserInputError
from orchestrator.stages import Role, Work
from orchestrator.stages.events import EpochFinished, StageFinished, StageStarted, Tell

_LISTEN_SECONDS = 0.1
_WORKER_DEATHS = (ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError, WorkerCrashedError)


def compute_on_ray(work: Work, execution: RayConfig, tell: Tell, log_file: Path) -> None:
    """Computes all stages in two Ray Train runs at the same time: the teacher lane, and one behind it the student lane.

    Args:
        work: What to compute.
        execution: The cluster, and what each lane asks for.
        tell: Told everything that happens, in this process.
        log_file: Where Ray's own words go.

    Raises:
        ConfigError: The lanes do not fit into the cluster.
        UserInputError: The learning does not work with this configuration.
        TransientError: Cluster or store cannot be reached, or a lane lost its workers too often.
        LaneFailedError: A worker met an unknown error.
    """
    with cluster(execution, log_file), tempfile.TemporaryDirectory(prefix="orchestrator-ray-") as scratch:
        token = secrets.token_hex(6)
        board = Board(f"orchestrator-board-{token}")
        told = _ToldOnce(tell)
        lanes = {role: _Lane(role, work, execution, token, scratch) for role in ("teacher", "student")}
        lanes["teacher"].start()
        while not all(lane.has_ended for lane in lanes.values()):
            for event in board.news():
                told(event)
            teacher = lanes["teacher"]
            # two lanes that start at once take each other's CPU, and the student has nothing to do before the teacher has
            if (told.anything or teacher.has_ended) and not lanes["student"].has_begun:
                lanes["student"].start()
            for lane in lanes.values():
                lane.raise_error(execution, log_file)
            time.sleep(_LISTEN_SECONDS)
        for lane in lanes.values():
            lane.raise_error(execution, log_file)
        for event in board.news():
            told(event)
        _tell_what_was_lost(work, told)


class _ToldOnce:
    """Passes events on, each once: a worker that was started again tells of its finished epochs again."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._known: set[tuple[str, ...]] = set()

    @property
    def anything(self) -> bool:
        return bool(self._known)

    def __call__(self, event: StageStarted | EpochFinished | StageFinished) -> None:
        of_epoch = (event.report.phase, str(event.report.epoch)) if isinstance(event, EpochFinished) else ()
        identity = (type(event).__name__, event.stage, *of_epoch)
        if identity not in self._known:
            self._known.add(identity)
            self._tell(event)

    def knows(self, kind: type, stage: str) -> bool:
        return (kind.__name__, stage) in self._known


def _tell_what_was_lost(work: Work, told: _ToldOnce) -> None:
    """Stages whose news a dying board has taken along: the store has them all the same."""
    for stage in work.stages:
        if not told.knows(StageFinished, stage.name):
            values = work.artifact_of(stage).values
            told(StageFinished(stage.name, values["seconds"], values["num_train_workers"], cached=False))


class _Lane:
    """One Ray Train run, in a thread of this process."""

    def __init__(self, role: Role, work: Work, execution: RayConfig, token: str, scratch: str) -> None:
        self._role = role
        self._error: BaseException | None = None
        self._return_value: Any = None
        self._trainer = _trainer(role, work, execution, token, scratch)
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

    def raise_error(self, execution: RayConfig, log_file: Path) -> None:
        """Raises what has ended the lane, if it was an error, in the words of this program."""
        if self._return_value is not None:
            raise UserInputError(**self._return_value)
        if self._error is not None:
            raise _as_own_error(self._error, self._role, lanes_of(execution)[self._role], log_file) from self._error


def _trainer(role: Role, work: Work, execution: RayConfig, token: str, scratch: str) -> TorchTrainer:
    lane = lanes_of(execution)[role]
    task = LaneTask(
        role,
        work.experiment.model_dump(mode="json"),
        [stage.key for stage in work.stages],
        f"orchestrator-board-{token}",
        max(1, int(lane.num_cpus_per_worker)),
    )
    use_gpu = lane.num_gpus_per_worker > 0
    scaling = ScalingConfig(
        num_workers=lane.num_train_workers,
        use_gpu=use_gpu,
        resources_per_worker=lane.resources_per_worker,
        placement_strategy=lane.placement,
        label_selector=lane.node_labels or None,
    )
    failures = FailureConfig(
        max_failures=execution.max_worker_failures,
        controller_failure_limit=execution.max_start_attempts - 1,
        max_preemption_failures=execution.max_preemptions,
    )
    return TorchTrainer(
        run_lane,
        train_loop_config=task.as_json(),
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if use_gpu else "gloo"),
        scaling_config=scaling,
        run_config=RunConfig(name=f"{role}-{token}", failure_config=failures, **_ray_storage(work, execution, scratch)),
    )


def _ray_storage(work: Work, execution: RayConfig, scratch: str) -> dict[str, Any]:
    """Ray Train wants a folder that all nodes see; results and checkpoints are in the stage store."""
    if execution.address is None:
        return {"storage_path": scratch}
    return {"storage_path": work.store.path("ray"), "storage_filesystem": work.store.filesystem}


def _as_own_error(error: BaseException, role: Role, lane: LaneConfig, log_file: Path) -> OrchestratorError:
    where, log = f"{role} lane", f"Ray's log is {log_file}"
    if isinstance(error, PreemptionError):
        return LaneLostError("its nodes were taken away more often than execution.max_preemptions allows", where, log)
    if isinstance(error, ControllerError):
        asked = ", ".join(f"{amount:g} {name}" for name, amount in lane.resources_per_worker.items())
        what = f"the cluster did not give it its {lane.min_train_workers} workers of {asked} each in time"
        return ClusterUnavailableError(what, where, f"wait until the cluster has room, or ask for less; {log}")
    causes = [getattr(cause, "_base_exc", cause) for cause in getattr(error, "worker_failures", {}).values()]
    for cause in causes:
        if isinstance(cause, OrchestratorError):
            return cause
    if isinstance(error, WorkerGroupError) and any(isinstance(cause, _WORKER_DEATHS) for cause in causes):
        what = f"its workers died more often than execution.max_worker_failures allows ({str(causes[0]).splitlines()[0]})"
        return LaneLostError(what, where, f"the same command goes on where it was; {log}")
    cause = causes[0] if causes else error
    return LaneFailedError(f"{type(cause).__name__}: {cause}", where, f"this is a bug; please report it with {log_file}")
