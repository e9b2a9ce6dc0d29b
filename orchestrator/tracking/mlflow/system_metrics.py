"""Log the load of the machine during a run: processors, memory, disk, network and GPUs, measured by
MLflow's own monitors every few seconds.

The metrics have MLflow's names with the node's number inserted, such as
`system/node_0/cpu_utilization_percentage`. MLflow's pages recognise such names and draw the values
of all nodes in one chart of the metric. The values describe the whole machine, even inside a
container.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count

import psutil
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

Log = Callable[[Mapping[str, float], int], None]

logger = logging.getLogger(__name__)


@contextmanager
def system_metrics(
    log: Log, interval_seconds: float, node: int = 0, first_step: int = 1
) -> Iterator[None]:
    """Sample the load of this machine in a thread while the `with` block runs.

    Args:
        log: Called with each sample and the sample's step. If a call fails, sampling ends with a
            warning, so that the run continues.
        interval_seconds: Time before the first sample, and between two samples.
        node: Number of this machine among all machines of the run.
        first_step: Step of the first sample; a resumed run already has samples at earlier steps.
    """
    told_to_end = threading.Event()
    sampler = threading.Thread(
        target=_sample,
        args=(log, interval_seconds, f"system/node_{node}", first_step, told_to_end),
        name="system metrics",
        daemon=True,
    )
    sampler.start()
    try:
        yield
    finally:
        told_to_end.set()
        sampler.join()


def _sample(
    log: Log, interval_seconds: float, prefix: str, first_step: int, told_to_end: threading.Event
) -> None:
    try:
        monitors = _monitors()
        # cpu_percent returns the average since its previous call, so discard the result of the
        # first call.
        psutil.cpu_percent()
        for step in count(first_step):
            if told_to_end.wait(interval_seconds):
                return
            log({f"{prefix}/{name}": value for name, value in _measure(monitors).items()}, step)
    except Exception as error:  # noqa: BLE001 - a failure here must not stop training
        logger.warning("no more system metrics: %s: %s", type(error).__name__, error)


def _monitors() -> list[BaseMetricsMonitor]:
    monitors: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    try:
        monitors.append(GPUMonitor())
    except (ImportError, RuntimeError) as error:  # the package nvidia-ml-py or a GPU is missing
        logger.debug("no system metrics of GPUs: %s", error)
    return monitors


def _measure(monitors: Sequence[BaseMetricsMonitor]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        values |= monitor.aggregate_metrics()
        monitor.clear_metrics()
    return values
