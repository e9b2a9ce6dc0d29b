"""Free resources of this machine are counted."""

import subprocess
import sys

import pytest
import torch

from orchestrator.config.execution import InProcessConfig
from orchestrator.distributed import machine
from orchestrator.distributed.machine import cpus_of_this_machine, free_cpus, idle_ticks
from orchestrator.pipelines.run.execution import num_threads

TIMES = """cpu  100 0 0 1000 50 0 0 0 0 0
cpu0 40 1 2 600 30 0 0 0 0 0
cpu1 60 0 0 400 20 0 0 0 0 0
cpu10 1 1 1 7 2 3 4 5 0 0
intr 12 3
"""


def test_idle_time_includes_waiting_for_disks() -> None:
    assert idle_ticks(TIMES, {0}) == 630
    assert idle_ticks(TIMES, {0, 1}) == 1050
    assert idle_ticks(TIMES, {1, 10, 11}) == 429


@pytest.mark.parametrize(
    ("idle", "granted", "free"),
    [(0.0, 2, 1), (0.9, 2, 1), (1.7, 2, 2), (2.0, 2, 2), (40.0, 4, 4), (2.9, 8, 3)],
)
def test_free_cpus_are_at_least_one_and_at_most_the_granted_ones(
    idle: float, granted: int, free: int
) -> None:
    assert machine._whole_cpus(idle, granted) == free


def test_if_every_cpu_is_busy_one_thread_computes() -> None:
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(cpus_of_this_machine())
    ]
    try:
        assert free_cpus() == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_configured_threads_are_limited_by_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = cpus_of_this_machine()
    assert num_threads(InProcessConfig(num_threads=1), 8) == 1
    assert num_threads(InProcessConfig(num_threads=cpus + 1), 8) == cpus
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert num_threads(InProcessConfig(), 1) == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= num_threads(InProcessConfig(), 8) <= cpus
    assert num_threads(InProcessConfig(), 1) == 1
    assert torch.get_num_threads() <= cpus
