"""What a trial takes of the cluster, and how many trials fit beside each other.

Imports ray only to ask a running cluster.
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
    """What one trial takes.

    Attributes:
        resources: In Ray's names, all its workers together.
        threads: CPU threads by role.
        in_lanes: Whether its stages are learned by lanes of several workers, or in the trial's own
            process.
        uses_gpu: Whether the trial's own process has a GPU.
    """

    resources: Mapping[str, float]
    threads: Mapping[Role, int]
    in_lanes: bool
    uses_gpu: bool

    @classmethod
    def of(cls, execution: ExecutionConfig) -> TrialShare:
        """Return what a trial of an experiment takes: lanes only when one of them has more than one
        worker, or wants nodes by their labels.

        Otherwise both roles share one process and learn in turn: a sweep has other trials to keep
        the cluster busy.
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
        """Return how many trials fit beside each other.

        Args:
            available: Resources in Ray's names.
            place: What has them, for the message.

        Raises:
            ConfigError: Not a single one; the message has the arithmetic.
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
    """What a trial takes, and what there is.

    Attributes:
        share: What one trial takes.
        available: Resources in Ray's names; empty where a cluster was not asked.
        num_at_once: How many trials fit beside each other; None when that is not known: the cluster
            grows on demand, or was not asked. 0 when none fits.
        shortage: Why none fits; empty when nothing is known against it.
    """

    share: TrialShare
    available: Mapping[str, float]
    num_at_once: int | None
    shortage: str = ""


def find_room(execution: ExecutionConfig) -> TrialRoom:
    """Find out how many trials fit into the cluster, or on this machine: once for a whole sweep,
    before anything starts.

    Raises:
        ConfigError: Not a single one; the message has the arithmetic.
        ClusterUnavailableError: The cluster does not answer.
    """
    config, share = trial_cluster(execution), TrialShare.of(execution)
    available, place = available_resources(config)
    num_that_fit = None if config.autoscaling else share.num_that_fit(available, place)
    return TrialRoom(share, available, num_that_fit)


def max_trials_at_once(search_space: SearchSpace, room: TrialRoom) -> int | None:
    """Return the most trials that a sweep may compute at the same time; None for no bound.

    The trials of a population take turns, so that all of it may be larger than the cluster.
    """
    takes_turns = isinstance(search_space.trial_scheduler, PbtConfig)
    bounds = (search_space.max_concurrent_trials, None if takes_turns else room.num_at_once)
    return min((bound for bound in bounds if bound is not None), default=None)


def trial_cluster(execution: ExecutionConfig) -> RayConfig:
    """Return the cluster on which trials of an experiment run: its own, or one on this machine for
    an experiment that computes in process.

    There a trial takes as many CPUs as it has threads, one when their number is left open, and a
    GPU only where `cuda` is asked for.
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
