"""Count the CPUs and GPUs of this machine, and the free CPUs. This module does not import ray."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Set
from pathlib import Path

import joblib

_CPU_TIMES = Path("/proc/stat")
_GPU_DRIVERS = (
    Path("/proc/driver/nvidia"),
    Path("/dev/nvidiactl"),
    Path("/dev/nvhost-gpu"),
    Path("/dev/kfd"),
    Path("/dev/dxg"),
)
_OF_A_CPU = re.compile(r"^cpu(\d+) (.*)$", re.MULTILINE)
_IDLE, _WAITING_FOR_DISKS = 3, 4
_LOOK_SECONDS = 0.25


def cpus_of_this_machine() -> int:
    """Return how many CPUs this process may use under its affinity and its container's quota."""
    return int(joblib.cpu_count())


def gpus_of_this_machine() -> int:
    """Return how many GPUs torch finds. If no GPU driver is installed, return 0 without importing
    torch.
    """
    if not any(map(Path.exists, _GPU_DRIVERS)):
        return 0
    from orchestrator.devices import num_gpus  # noqa: PLC0415 - loads torch

    return num_gpus()


def free_cpus() -> int:
    """Return how many of the CPUs that this process may use are idle now, at least 1.

    The measurement takes a quarter of a second. If the system does not report how busy its CPUs
    are, all CPUs count as idle.
    """
    granted = cpus_of_this_machine()
    if granted == 1 or not _CPU_TIMES.exists():
        return granted
    allowed = os.sched_getaffinity(0)
    before, own, began = _idle_seconds(allowed), time.process_time(), time.monotonic()
    time.sleep(_LOOK_SECONDS)
    idle, own = _idle_seconds(allowed) - before, time.process_time() - own
    # CPU time that this process itself uses during the measurement counts as idle, because this
    # process can use that time for its later work.
    return _whole_cpus((idle + own) / (time.monotonic() - began), granted)


def _whole_cpus(idle: float, granted: int) -> int:
    return max(1, min(round(idle), granted))


def _idle_seconds(cpus: Set[int]) -> float:
    """Return the total idle time of some CPUs since the start of the system."""
    return idle_ticks(_CPU_TIMES.read_text(encoding="ascii"), cpus) / os.sysconf("SC_CLK_TCK")


def idle_ticks(times: str, cpus: Set[int]) -> int:
    """Return the total number of clock ticks for which some CPUs were idle.

    Args:
        times: Content of /proc/stat.
        cpus: Numbers of the CPUs.
    """
    counted = {int(number): text.split() for number, text in _OF_A_CPU.findall(times)}
    return sum(
        int(counted[cpu][_IDLE]) + int(counted[cpu][_WAITING_FOR_DISKS])
        for cpu in cpus
        if cpu in counted
    )
