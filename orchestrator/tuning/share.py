"""Determine the resources that a trial takes, and how many trials fit at the same time.

This module imports ray only to query a running cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.config.execution import ExecutionConfig, LaneConfig, RayConfig
from orchestrator.config.roles import Role
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.trial_schedulers import PbtConfig
from orchestrator.distributed.resources import available_resources
from orchestrator.errors import ConfigError


@dataclass(frozen=True)
class TrialShare:
    """The resources that one trial takes.

    Attributes:
        resources: Amount of each resource for all workers of the trial together, by Ray's name of
            the resource.
        threads: Number of CPU threads, by role.
        in_lanes: Whether lanes of separate workers compute the trial's stages; otherwise the
            trial's own process computes them.
        uses_gpu: Whether the trial's own process has a GPU.
    """

    resources: Mapping[str, float]
    threads: Mapping[Role, int]
    in_lanes: bool
    uses_gpu: bool

    @classmethod
    def of(cls, execution: ExecutionConfig) -> TrialShare:
        """Return the resources of a trial of an experiment. The trial uses lanes (separate groups
        of workers for teacher and student) only if one of the lanes has more than one worker, or
        selects nodes by labels.

        Without lanes, one process learns the stages of both roles in turn. The cluster stays busy,
        because other trials of the sweep run at the same time.
        """
        execution = trial_cluster(execution)
        lanes = [execution.teacher, execution.student]
        threads: dict[Role, int] = {
            "teacher": execution.teacher.num_threads,
            "student": execution.student.num_threads,
        }
        in_lanes = any(lane.max_train_workers > 1 or lane.node_labels for lane in lanes)
        together = sum if in_lanes else max
        names = {name for lane in lanes for name in lane.resources_per_worker}
        resources = {
            name: float(together(_fewest(lane, name) for lane in lanes)) for name in sorted(names)
        }
        return cls(resources, threads, in_lanes, uses_gpu=resources.get("GPU", 0) > 0)

    def num_that_fit(self, available: Mapping[str, float], place: str) -> int:
        """Return how many trials fit at the same time.

        Args:
            available: Available amount of each resource, by Ray's name of the resource.
            place: Name of the machine or cluster with these resources, for the error message.

        Raises:
            ConfigError: No trial fits; the message compares the numbers.
        """
        for name, amount in self.resources.items():
            if available.get(name, 0) < amount:
                raise ConfigError(
                    f"a trial needs {amount:g} {name}, {place} has {available.get(name, 0):g}",
                    where="execution",
                    next_step=(
                        "lower num_train_workers or the resources per worker, or use a larger"
                        " cluster"
                    ),
                )
        return int(
            min(available[name] // amount for name, amount in self.resources.items() if amount)
        )


@dataclass(frozen=True)
class TrialRoom:
    """The resources that a trial takes, and the resources that are available.

    Attributes:
        share: Resources of one trial.
        available: Available amount of each resource, by Ray's name of the resource; empty if the
            cluster was not queried.
        num_at_once: Number of trials that fit at the same time; None if unknown, because the
            cluster grows on demand or was not queried; 0 if no trial fits.
        shortage: Why no trial fits; empty if no reason is known.
    """

    share: TrialShare
    available: Mapping[str, float]
    num_at_once: int | None
    shortage: str = ""


def find_room(execution: ExecutionConfig) -> TrialRoom:
    """Determine how many trials fit into the cluster, or on this machine. A sweep calls this
    function once, before it starts any trial.

    Raises:
        ConfigError: No trial fits; the message compares the numbers.
        ClusterUnavailableError: The cluster does not answer.
    """
    config, share = trial_cluster(execution), TrialShare.of(execution)
    available, place = available_resources(config)
    num_that_fit = None if config.autoscaling else share.num_that_fit(available, place)
    return TrialRoom(share, available, num_that_fit)


def max_trials_at_once(search_space: SearchSpace, room: TrialRoom) -> int | None:
    """Return the largest number of trials that a sweep may compute at once; None for no limit.

    In population-based training, trials are paused in turn. So the population may be larger than
    the number of trials that fit into the cluster.
    """
    takes_turns = isinstance(search_space.trial_scheduler, PbtConfig)
    bounds = (search_space.max_concurrent_trials, None if takes_turns else room.num_at_once)
    return min((bound for bound in bounds if bound is not None), default=None)


def trial_cluster(execution: ExecutionConfig) -> RayConfig:
    """Return the cluster for the trials of an experiment: the experiment's own cluster or, if the
    experiment computes in process, a cluster on this machine.

    On this machine, a trial takes as many CPUs as the configured number of threads (one if no
    number is set), and a GPU only if the device is `cuda`.
    """
    if isinstance(execution, RayConfig):
        return execution
    lane = LaneConfig(
        num_cpus_per_worker=execution.num_threads or 1,
        num_gpus_per_worker=1 if execution.device == "cuda" else 0,
    )
    return RayConfig(teacher=lane, student=lane)


def _fewest(lane: LaneConfig, name: str) -> float:
    return lane.min_train_workers * lane.resources_per_worker.get(name, 0.0)
