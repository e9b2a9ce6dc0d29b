"""Compute a run's stages in this process or with Ray, after checking that the resources suffice.

If the store has all stages, nothing is computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from orchestrator.config.execution import ExecutionConfig, InProcessConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import extensions_in, extensions_named
from orchestrator.distributed.environment import set_environment
from orchestrator.distributed.extensions import check_extensions
from orchestrator.distributed.machine import cpus_of_this_machine, free_cpus
from orchestrator.distributed.resources import check_room
from orchestrator.stages import Work
from orchestrator.stages.events import StageListener

if TYPE_CHECKING:
    import torch


def check_execution(execution: ExecutionConfig) -> None:
    """Reject an execution without enough resources, before anything starts.

    Raises:
        ConfigError: The resources do not suffice; the message shows the calculation.
        ClusterUnavailableError: The cluster does not answer.
    """
    match execution:
        case InProcessConfig():
            if execution.device == "cuda":
                from orchestrator.devices import device_for  # noqa: PLC0415 - loads torch

                device_for(execution.device)
        case RayConfig():
            check_room(execution)
        case _:
            assert_never(execution)


def check_extensions_everywhere(
    experiment: Experiment, swept_values: Iterable[object] = ()
) -> None:
    """Reject an experiment if a node of the cluster lacks one of the experiment's extensions. Call
    this before anything starts.

    Args:
        experiment: The experiment to compute.
        swept_values: Values that a search space sets in the experiment; a value may name an
            extension.

    Raises:
        ConfigError: A node lacks an extension, or has another version of it.
        ClusterUnavailableError: The cluster does not answer.
    """
    if isinstance(experiment.execution, RayConfig):
        used = [*extensions_in(experiment), *extensions_named(swept_values)]
        check_extensions(used, experiment.execution)


def _say_nothing(_address: str | None) -> None:
    """Ignore the start of Ray."""


def compute(
    work: Work,
    listener: StageListener,
    log_file: Path,
    ray_starts: Callable[[str | None], None] = _say_nothing,
) -> None:
    """Compute all stages that the stage store lacks.

    Args:
        work: The stages to compute.
        listener: Receives every event.
        log_file: File for the messages of Ray itself; not written without Ray.
        ray_starts: Function to call before Ray is used. The argument is the address of the cluster
            to join, or None if Ray starts on this machine.

    Raises:
        UserInputError: Training does not work with this configuration.
        TransientError: Store or cluster cannot be reached.
    """
    from orchestrator.devices import CPU, device_for  # noqa: PLC0415 - loads torch

    execution = work.experiment.execution
    stored = _stored_values(work)
    if len(stored) == len(work.stages):
        _compute_here(work, CPU, listener, stored)
        return
    match execution:
        case InProcessConfig():
            with _own_threads() as choose_threads:
                _compute_here(work, device_for(execution.device), listener, stored, choose_threads)
        case RayConfig():
            ray_starts(execution.address)
            set_environment(execution)
            from orchestrator.distributed.lanes import compute_on_ray  # noqa: PLC0415 - ray is slow to import, and reads the environment

            compute_on_ray(work, execution, listener, log_file)
        case _:
            assert_never(execution)


def _stored_values(work: Work) -> dict[str, dict[str, Any]]:
    """Return the stored values of every stage that precedes the first missing stage, by stage
    key.
    """
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
    from orchestrator.stages import StageRunner  # noqa: PLC0415 - loads torch

    runner = StageRunner(work, device, listener)
    for stage in work.stages:
        values = stored.get(stage.key)
        # choose the number of threads for every stage, because the number of idle CPUs changes
        if values is None and choose_threads is not None:
            choose_threads(work.experiment.execution)
        runner.obtain(stage, values)


@contextmanager
def _own_threads() -> Iterator[Callable[[ExecutionConfig], None]]:
    """Yield a function that sets torch's number of threads; restore the number afterwards."""
    import torch  # noqa: PLC0415 - slow to import

    before = torch.get_num_threads()
    try:
        yield lambda execution: torch.set_num_threads(num_threads(execution, before))
    finally:
        torch.set_num_threads(before)


def num_threads(execution: ExecutionConfig, most: int) -> int:
    """Return the number of CPU threads for this process.

    Without a configured number, use no more threads than there are idle CPUs. The threads of a
    process wait for each other at every step. So two threads may take several times as long as one
    if another process uses one of the two CPUs.

    Args:
        execution: Configuration of the execution, which may set the number.
        most: Number of threads that torch uses by default.
    """
    wanted = execution.num_threads if isinstance(execution, InProcessConfig) else None
    if wanted is None and "OMP_NUM_THREADS" in os.environ:
        wanted = most
    if wanted is not None:
        return min(wanted, cpus_of_this_machine())
    return min(most, free_cpus())
