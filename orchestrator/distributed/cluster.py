"""The Ray cluster of a run: one of its own on this machine, or one that is there already; its log in a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import ray
from ray._private.ray_logging import global_worker_stdstream_dispatcher

from orchestrator.config.execution import RayConfig
from orchestrator.distributed.resources import check_fits, cpus_of_this_machine
from orchestrator.errors import ClusterUnavailableError

_PRINT_HANDLER = "ray_print_logs"
_FILE_HANDLER = "orchestrator_log_file"


@contextmanager
def cluster(execution: RayConfig, log_file: Path) -> Iterator[None]:
    """Joins or starts a cluster, and leaves or ends it. What Ray and the workers say goes into the file, not into the terminal.

    Args:
        execution: Which cluster; how much room the lanes need.
        log_file: Grows by what is said.

    Raises:
        ClusterUnavailableError: The cluster does not answer.
        ConfigError: The lanes do not fit into it.
    """
    with log_file.open("a", encoding="utf-8") as file:
        try:
            _connect(execution, file)
            if execution.address is not None:
                check_fits(execution, ray.cluster_resources(), f"the cluster {execution.address}")
            yield
        finally:
            ray.shutdown()
            global_worker_stdstream_dispatcher.remove_handler(_FILE_HANDLER)


def check_fits_cluster(execution: RayConfig) -> None:
    """Checks the lanes against a running cluster, and leaves it again.

    Raises:
        ClusterUnavailableError: The cluster does not answer.
        ConfigError: The lanes do not fit into it.
    """
    with cluster(execution, Path(os.devnull)):
        pass


def _connect(execution: RayConfig, file: TextIO) -> None:
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": True}
    if execution.address is None:
        options |= {"num_cpus": cpus_of_this_machine(), "include_dashboard": False}
    try:
        ray.init(address=execution.address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        what = f"the Ray cluster does not answer ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        advice = "check execution.address and RAY_AUTH_TOKEN, or leave the address out to start Ray on this machine"
        raise ClusterUnavailableError(what, where=execution.address or "this machine", next_step=advice) from None
    _redirect(file)


def _redirect(file: TextIO) -> None:
    """Sends what Ray prints for its workers, and what Ray logs in this process, to a file."""
    global_worker_stdstream_dispatcher.remove_handler(_PRINT_HANDLER)

    def write(data: dict[str, Any]) -> None:
        who = f"{data.get('actor_name') or data.get('task_name') or 'worker'} pid={data.get('pid')} ip={data.get('ip')}"
        file.writelines(f"({who}) {line}\n" for line in data.get("lines", ()))
        file.flush()

    global_worker_stdstream_dispatcher.add_handler(_FILE_HANDLER, write)
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ray_logger = logging.getLogger("ray")
    ray_logger.handlers = [handler]
    ray_logger.propagate = False
