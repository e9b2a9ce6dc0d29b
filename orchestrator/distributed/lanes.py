"""Run both lanes of a run at the same time. A lane is a Ray Train run that learns all stages of one
role, teacher or student.

The driver, which is the process that started the run, starts the lanes, receives their events, and
raises the error of a failed lane.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import ray

from orchestrator.config.execution import RayConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.distributed.cluster import cluster, naming_log
from orchestrator.distributed.event_channel import EventChannel
from orchestrator.distributed.event_replay import EventReplay
from orchestrator.distributed.lane import LaneTask
from orchestrator.distributed.lane_run import LaneRun
from orchestrator.distributed.lane_trainer import build_trainer
from orchestrator.distributed.resources import check_fits, lanes_of
from orchestrator.distributed.room_watch import RoomWatch
from orchestrator.errors import ClusterUnavailableError, StorageUnavailableError
from orchestrator.private_folder import scratch_folder
from orchestrator.stages import Work
from orchestrator.stages.events import StageListener
from orchestrator.stages.retention import RAY_FOLDER

_RECEIVE_SECONDS = 1.0


def compute_on_ray(
    work: Work, execution: RayConfig, listener: StageListener, log_file: Path
) -> None:
    """Compute all stages in two concurrent Ray Train runs, the teacher lane and the student lane.
    If the student is distilled, its lane learns each task after the teacher lane has learned it.

    Args:
        work: The stages to compute, with their data and their store.
        execution: The cluster and the lanes' configurations.
        listener: Receives every event, in this process.
        log_file: File to which Ray's log is written.

    Raises:
        ConfigError: The lanes do not fit into the cluster.
        UserInputError: Learning is impossible with this configuration.
        TransientError: Cluster or store cannot be reached, or a lane lost its workers too often.
        LaneFailedError: A worker failed with an unknown error.
    """
    with naming_log(log_file), cluster(execution, log_file):
        if execution.address is not None and not execution.autoscaling:
            check_fits(execution, ray.cluster_resources(), f"the cluster {execution.address}")
        compute_in_lanes(work, execution, listener)


def compute_in_lanes(
    work: Work, execution: RayConfig, listener: StageListener, claims: str | None = None
) -> None:
    """Compute all stages in two lanes, in a cluster to which this process is already connected. A
    lane is a Ray Train run that learns the stages of one role.

    Args:
        work: The stages to compute, with their data and their store.
        execution: The lanes' configurations.
        listener: Receives every event, in this process.
        claims: Name of the actor that lets only one run compute a stage, if other runs in this
            cluster may compute the same stages; None if there are no other runs.

    Raises:
        UserInputError: Learning is impossible with this configuration.
        TransientError: Cluster or store cannot be reached, or a lane lost its workers too often.
        LaneFailedError: A worker failed with an unknown error.
    """
    token = secrets.token_hex(6)
    channel = f"orchestrator-events-{token}"
    try:
        with scratch_folder("ray") as folder:
            scratch, lanes = str(folder), []
            for role in ROLES:
                if any(stage.role == role for stage in work.stages):
                    task = _task(role, work, execution, channel, claims)
                    trainer = build_trainer(
                        task, _lane_name(role, token), work, execution, str(scratch)
                    )
                    lanes.append(LaneRun(role, trainer, lanes_of(execution)[role]))
            _run(lanes, EventReplay(work, listener), channel, RoomWatch(execution))
    finally:
        with suppress(StorageUnavailableError):
            for role in ROLES:
                work.store.remove_folder(RAY_FOLDER, _lane_name(role, token))


def _run(lanes: Sequence[LaneRun], replay: EventReplay, channel_name: str, room: RoomWatch) -> None:
    """Start the lanes, and pass their events to the listener until all lanes have ended."""
    lanes[0].start()
    channel = EventChannel(channel_name)
    while not all(lane.has_ended for lane in lanes):
        # Start the student lane after the first event of the teacher lane: started together, the
        # lanes would compete for the CPU. A distilled student has nothing to learn at first.
        waiting = [lane for lane in lanes if not lane.has_begun]
        if waiting and (
            not replay.is_empty or all(lane.has_ended for lane in lanes if lane.has_begun)
        ):
            waiting[0].start()
        for event in channel.receive(_RECEIVE_SECONDS):
            replay(event)
        _check(lanes, room)
    for lane in lanes:
        lane.raise_error()
    for event in channel.receive(0):
        replay(event)
    replay.finish()


def _check(lanes: Sequence[LaneRun], room: RoomWatch) -> None:
    """Raise the error of a failed lane, or an error if the cluster has lost too many resources."""
    open_roles = [lane.role for lane in lanes if not lane.has_ended]
    for lane in lanes:
        try:
            lane.raise_error()
        except ClusterUnavailableError:
            # If the cluster has lost nodes, an error that names the missing resources is more
            # informative than the lane's own error.
            if shortage := room.shortage([*open_roles, lane.role]):
                raise shortage from None
            raise
    room.check(open_roles)


def _lane_name(role: Role, token: str) -> str:
    return f"{role}-{token}"


def _task(
    role: Role, work: Work, execution: RayConfig, channel: str, claims: str | None
) -> LaneTask:
    lane = lanes_of(execution)[role]
    return LaneTask(
        role=role,
        experiment=work.experiment.model_dump(mode="json"),
        keys=[stage.key for stage in work.stages if stage.role == role],
        channel=channel,
        num_threads=lane.num_threads,
        use_gpu=lane.num_gpus_per_worker > 0,
        claims=claims,
        judges_labels=work.judges_labels,
    )
