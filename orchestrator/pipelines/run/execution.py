"""Where a run's stages are computed: nowhere, when the store has them all; in this process; or by
Ray. And whether they can be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, assert_never

import torch

from orchestrator.config.execution import ExecutionConfig, InProcessConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import extensions_in, extensions_named
from orchestrator.distributed.environment import set_environment
from orchestrator.distributed.extensions import check_extensions
from orchestrator.distributed.machine import cpus_of_this_machine, free_cpus
from orchestrator.distributed.resources import check_room
from orchestrator.errors import ConfigError
from orchestrator.stages import StageRunner, Work
from orchestrator.stages.events import StageListener


def check_execution(execution: ExecutionConfig) -> None:
    """Finds out, before anything is started, whether there is room to compute.

    Raises:
        ConfigError: There is not; the message has the arithmetic.
        ClusterUnavailableError: The cluster does not answer.
    """
    match execution:
        case InProcessConfig():
            _device_of(execution)
        case RayConfig():
            check_room(execution)
        case _:
            assert_never(execution)


def check_extensions_everywhere(
    experiment: Experiment, swept_values: Iterable[object] = ()
) -> None:
    """Find out, before anything is started, whether every node has the extensions that are used.

    Args:
        experiment: What is to be computed.
        swept_values: What a search space puts in its place, some of which may name extensions.

    Raises:
        ConfigError: A node lacks one, or has another version.
        ClusterUnavailableError: The cluster does not answer.
    """
    if isinstance(experiment.execution, RayConfig):
        used = [*extensions_in(experiment), *extensions_named(swept_values)]
        check_extensions(used, experiment.execution)


def _say_nothing(_address: str | None) -> None:
    """Ignore that Ray starts."""


def compute(
    work: Work,
    listener: StageListener,
    log_file: Path,
    ray_starts: Callable[[str | None], None] = _say_nothing,
) -> None:
    """Sees to it that every stage of the work is in the store.

    Args:
        work: What to compute.
        listener: Receives every event.
        log_file: Where Ray's own words go, when Ray is used.
        ray_starts: Called before Ray is started, or with the address of a cluster before it is
            joined.

    Raises:
        UserInputError: The learning does not work with this configuration.
        TransientError: Store or cluster cannot be reached.
    """
    execution = work.experiment.execution
    stored = _stored_values(work)
    if len(stored) == len(work.stages):
        _compute_here(work, torch.device("cpu"), listener, stored)
        return
    match execution:
        case InProcessConfig():
            with _own_threads() as choose_threads:
                _compute_here(work, _device_of(execution), listener, stored, choose_threads)
        case RayConfig():
            ray_starts(execution.address)
            set_environment(execution)
            from orchestrator.distributed.lanes import compute_on_ray  # noqa: PLC0415 - ray is slow to import, and reads the environment

            compute_on_ray(work, execution, listener, log_file)
        case _:
            assert_never(execution)


def _stored_values(work: Work) -> dict[str, dict[str, Any]]:
    """Plain values of the stages that are in the store, by key, up to the first that is not."""
    found: dict[str, dict[str, Any]] = {}
    for stage in work.stages:
        values = work.stored_values(stage)
        if values is None:
            break
        found[stage.key] = values
    return found


def _compute_here(
    work: Work,
    device: torch.device,
    listener: StageListener,
    stored: Mapping[str, dict[str, Any]],
    choose_threads: Callable[[ExecutionConfig], None] | None = None,
) -> None:
    runner = StageRunner(work, device, listener)
    for stage in work.stages:
        values = stored.get(stage.key)
        if values is None and choose_threads is not None:  # whoever was busy may have ended
            choose_threads(work.experiment.execution)
        runner.obtain(stage, values)


@contextmanager
def _own_threads() -> Iterator[Callable[[ExecutionConfig], None]]:
    """Give what sets torch's threads; they are as before when the run has ended."""
    before = torch.get_num_threads()
    try:
        yield lambda execution: torch.set_num_threads(num_threads(execution, before))
    finally:
        torch.set_num_threads(before)


def num_threads(execution: ExecutionConfig, most: int) -> int:
    """Return how many CPU threads compute in this process.

    Threads that share a CPU with another process wait for each other at every step: two of them
    then take several times as long as one.

    Args:
        execution: May name the number.
        most: As many as torch would take, if it is left open.
    """
    wanted = execution.num_threads if isinstance(execution, InProcessConfig) else None
    if wanted is None and "OMP_NUM_THREADS" in os.environ:
        wanted = most
    if wanted is not None:
        return min(wanted, cpus_of_this_machine())
    return min(most, free_cpus())


def _device_of(execution: InProcessConfig) -> torch.device:
    if execution.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "execution.device = 'cuda', but torch sees no GPU here", next_step="use auto or cpu"
        )
    return torch.device(
        "cuda" if execution.device != "cpu" and torch.cuda.is_available() else "cpu"
    )
