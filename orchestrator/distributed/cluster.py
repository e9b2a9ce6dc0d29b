"""Connect to the Ray cluster of a run, or start a cluster on this machine, and write Ray's log to a
file.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import ray
from ray._private import worker as ray_worker
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import (
    get_or_create_autoscaling_coordinator,
)
from ray.exceptions import AuthenticationError, RayError

from orchestrator.config.execution import RayConfig
from orchestrator.distributed.machine import cpus_of_this_machine
from orchestrator.errors import ClusterUnavailableError, ConfigError, OrchestratorError

# Messages to suppress: on a cluster without a dashboard, Ray repeats these messages about every
# second, although nothing is wrong.
_NOISE = ("State API may be temporarily unavailable",)
_SPEAKERS_OF_NOISE = ("autoscaler",)
_REACHABLE_SECONDS = 5.0
_NOT_ANSWERING = (OSError, RayError, RuntimeError, ValueError)


@contextmanager
def cluster(execution: RayConfig, log_file: Path) -> Iterator[None]:
    """Connect to a running cluster, or start a cluster on this machine. At the end of the `with`
    block, disconnect from the running cluster, or stop the cluster on this machine.

    Output of Ray and the workers goes to the log file, not to the terminal.

    Args:
        execution: The cluster's configuration.
        log_file: File to which the output is appended.

    Raises:
        ClusterUnavailableError: The cluster does not answer.
        ConfigError: The cluster refuses the token, or this process already uses Ray.
    """
    if ray.is_initialized():
        raise ConfigError(
            "Ray is already in use in this process",
            where="execution",
            next_step="call ray.shutdown() first, or use kind: in_process",
        )
    with log_file.open("a", encoding="utf-8") as file, _words_into(file) as handler:
        try:
            _connect(execution)
            # Set the handler again: `ray.init` removes it, even with `configure_logging=False`.
            logging.getLogger("ray").handlers = [handler]
            yield
        finally:
            ray.shutdown()


@contextmanager
def naming_log(log_file: Path) -> Iterator[None]:
    """Add the location of Ray's log to every error raised in the `with` block."""
    log = f"Ray's log is {log_file}"
    try:
        yield
    except KeyboardInterrupt as interruption:
        raise KeyboardInterrupt(f"{str(interruption) or 'interrupted'} ({log})") from None
    except OrchestratorError as error:
        raise type(error)(
            error.what, error.where, f"{error.next_step}; {log}" if error.next_step else log
        ) from error


def resources_of_cluster(execution: RayConfig) -> dict[str, float]:
    """Connect briefly to a running cluster, and return the amount of each resource, such as `CPU`.

    Raises:
        ClusterUnavailableError: The cluster does not answer.
        ConfigError: The cluster refuses the token, or this process already uses Ray.
    """
    with cluster(execution, Path(os.devnull)):
        return dict(ray.cluster_resources())


def _connect(execution: RayConfig) -> None:
    options: dict[str, Any] = {"logging_level": logging.WARNING, "configure_logging": False}
    if execution.address is None:
        options |= {"num_cpus": cpus_of_this_machine(), "include_dashboard": False}
    try:
        _check_reachable(execution.address)
        _read_authentication_anew()
        with _own_signal_handlers():
            ray.init(address=execution.address or "local", **options)
        if execution.address is None:
            # Start Ray's autoscaling coordinator now. Every Ray Train run needs this actor at its
            # beginning, so the actor starts while the first controller of Ray Train starts.
            get_or_create_autoscaling_coordinator()
    except AuthenticationError as error:
        what = f"the Ray cluster refuses the token ({str(error).splitlines()[0]})"
        raise ConfigError(
            what,
            where=execution.address or "this machine",
            next_step="set RAY_AUTH_TOKEN to the cluster's token",
        ) from None
    except Exception as error:
        # If a node starts too slowly, Ray raises a plain `Exception`, not one of its own errors.
        if type(error) is not Exception and not isinstance(error, _NOT_ANSWERING):
            raise
        what = (
            "the Ray cluster does not answer"
            f" ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        )
        advice = (
            "check execution.address and RAY_AUTH_TOKEN, or remove the address to start Ray on"
            " this machine"
        )
        raise ClusterUnavailableError(
            what, where=execution.address or "this machine", next_step=advice
        ) from None


def _read_authentication_anew() -> None:
    """Make Ray read the authentication mode and the token from the environment again.

    Ray caches the mode and the token of the first cluster that this process uses. The processes of
    the next cluster, however, read the mode and the token from the environment.
    """
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Restore this program's SIGTERM handler after `ray.init` has replaced the handler.

    Ray's handler ends the process at once, so the program in a terminated pod could not give its
    MLflow run the status KILLED.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str | None) -> None:
    """Raise OSError if nothing listens at the address; Ray itself would retry for minutes."""
    if address is not None and address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=_REACHABLE_SECONDS).close()


@contextmanager
def _words_into(file: TextIO) -> Iterator[logging.Handler]:
    """Write Ray's log of this process to a file, and also the output of workers and nodes, which
    Ray would print to the terminal.

    Ray has no public interface to redirect the output of workers, so `print_to_stdstream` is
    replaced; a test checks that this works.
    """

    def write(data: dict[str, Any], **_options: object) -> None:
        if data.get("pid") in _SPEAKERS_OF_NOISE:
            return
        who = (
            f"({data.get('actor_name') or data.get('task_name') or 'worker'} pid={data.get('pid')}"
            f" ip={data.get('ip')})"
        )
        lines = [
            line for line in data.get("lines", ()) if not any(noise in line for noise in _NOISE)
        ]
        file.writelines(f"{who} {line}\n" for line in lines)
        file.flush()

    logger, handler = logging.getLogger("ray"), logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = logger.handlers, logger.propagate, ray_worker.print_to_stdstream
    logger.handlers, logger.propagate, ray_worker.print_to_stdstream = [handler], False, write
    try:
        yield handler
    finally:
        logger.handlers, logger.propagate, ray_worker.print_to_stdstream = before
