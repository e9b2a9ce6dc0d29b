"""Compute a lane: every worker of the lane's worker group runs the same function, which learns all
stages of one role, one after another.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import ray.train
import torch

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.devices import CPU
from orchestrator.distributed.claims import ClusterClaims
from orchestrator.distributed.event_channel import EventChannel
from orchestrator.errors import UserInputError
from orchestrator.masking import with_secrets
from orchestrator.stages import NO_CLAIMS, StageRunner, Work, prepare_work
from orchestrator.training.ranks import Ranks


@dataclass(frozen=True)
class LaneTask:
    """The description of a lane's work, sent as JSON to every worker of the lane. A lane is the
    group of workers that learns the stages of one role.

    Attributes:
        role: Role of the stages.
        experiment: The configuration, as JSON values.
        keys: Keys of the stages to learn, computed by the driver, in order of learning.
        channel: Name of the event channel.
        num_threads: CPU threads of each worker.
        use_gpu: Whether each worker has a GPU.
        claims: Name of the actor that lets only one of several runs compute a stage; None if there
            are no other runs.
        judges_labels: Whether the role's last model computes how probable the labels of the
            training images are. The workers copy this value into their `Work`.
    """

    role: Role
    experiment: dict[str, Any]
    keys: list[str]
    channel: str
    num_threads: int
    use_gpu: bool
    claims: str | None = None
    judges_labels: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the description of the lane's work as JSON values."""
        return asdict(self)


def run_lane(
    values: dict[str, Any], secrets: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """Learn the stages of one role, each as soon as its upstream stages are in the store.

    Ray restarts this function after every tolerated failure; stored stages, and epochs with a
    checkpoint, are not recomputed.

    Args:
        values: A `LaneTask` as JSON, without the secrets of addresses.
        secrets: The secrets of addresses, by path in the configuration.

    Returns:
        None if all stages are learned. The arguments of a `UserInputError` if the input is wrong:
        after an exception, Ray would retry, but a retry cannot correct the input.

    Raises:
        TransientError: The store cannot be reached.
    """
    task = LaneTask(**with_secrets(values, secrets or {}))
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(task.num_threads)
    context = ray.train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    work, mistake = _prepare(task)
    mistakes = [found for found in ranks.values_of_all(mistake) if found is not None]
    # All workers stop together: a worker that continued would wait for the stopped workers.
    if mistakes or work is None:
        return mistakes[0]
    try:
        _learn_stages(task, work, ranks)
    except UserInputError as error:
        return _as_values(error)
    return None


def _learn_stages(task: LaneTask, work: Work, ranks: Ranks) -> None:
    channel = EventChannel(task.channel)
    claims = NO_CLAIMS if task.claims is None else ClusterClaims(task.claims)
    runner = StageRunner(work, _device(task), channel.send, ranks, claims)
    stages = {stage.key: stage for stage in work.stages}
    for key in task.keys:
        for upstream in stages[key].upstream:
            if upstream in stages and stages[upstream].role != task.role:
                # The workers wait for the upstream stage in short rounds: torch would treat one
                # collective operation that lasts for hours as a lost connection.
                while not ranks.from_first(lambda: channel.is_stored(stages[upstream], work.store)):  # noqa: B023 - called at once
                    pass
        runner.obtain(stages[key])


def _device(task: LaneTask) -> torch.device:
    if not task.use_gpu:
        return CPU
    from ray.train.torch import get_device  # noqa: PLC0415 - imported only where a GPU is used

    device: torch.device = get_device()
    return device


def _prepare(task: LaneTask) -> tuple[Work | None, dict[str, str] | None]:
    """Load the data and build the stages of a lane on this node. Return both as a `Work`, or return
    the arguments of a `UserInputError` if the data cannot be used or differ from the driver's data.
    """
    try:
        prepared = prepare_work(Experiment.model_validate(task.experiment))
        work = replace(prepared, judges_labels=task.judges_labels)
    except UserInputError as error:
        return None, _as_values(error)
    if not set(task.keys) <= {stage.key for stage in work.stages}:
        different = UserInputError(
            "a worker reads different data than the process that started the run",
            where=work.scenario.table.name,
            next_step=(
                "give paths to the same files on every node, and do not change them during a run"
            ),
        )
        return None, _as_values(different)
    return work, None


def _as_values(error: UserInputError) -> dict[str, str]:
    return {"what": error.what, "where": error.where, "next_step": error.next_step}
