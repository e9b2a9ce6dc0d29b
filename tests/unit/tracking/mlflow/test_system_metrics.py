"""System metrics of the machine are logged during a run."""

import logging
import threading
import time
from collections.abc import Mapping

import psutil
import pytest

from orchestrator.tracking.mlflow.system_metrics import system_metrics
from tests.waiting import PATIENCE_SECONDS

KEYS = {
    f"system/node_0/{name}"
    for name in (
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "disk_usage_percentage",
        "disk_usage_megabytes",
        "disk_available_megabytes",
        "network_receive_megabytes",
        "network_transmit_megabytes",
    )
}


class Samples:
    """Recorder of samples that a test can wait for."""

    def __init__(self, num_awaited: int) -> None:
        self.taken: list[tuple[int, dict[str, float]]] = []
        self.complete = threading.Event()
        self._num_awaited = num_awaited

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        self.taken.append((step, dict(values)))
        if len(self.taken) == self._num_awaited:
            self.complete.set()


def num_samplers() -> int:
    return sum(thread.name == "system metrics" for thread in threading.enumerate())


def test_samples_have_mlflows_keys_the_node_and_ascending_steps() -> None:
    samples = Samples(3)
    with system_metrics(samples, interval_seconds=0.02):
        assert samples.complete.wait(PATIENCE_SECONDS)
    assert [step for step, _ in samples.taken[:3]] == [1, 2, 3]
    for _, values in samples.taken:
        assert {key for key in values if "/gpu_" not in key} == KEYS
        assert 0 <= values["system/node_0/cpu_utilization_percentage"] <= 100
        assert (
            values["system/node_0/system_memory_usage_megabytes"]
            < psutil.virtual_memory().total / 1e6
        )


def test_a_resumed_run_continues_its_steps_and_another_node_has_its_own_number() -> None:
    samples = Samples(1)
    with system_metrics(samples, interval_seconds=0.02, node=3, first_step=41):
        assert samples.complete.wait(PATIENCE_SECONDS)
    step, values = samples.taken[0]
    assert step == 41
    assert "system/node_3/cpu_utilization_percentage" in values


def test_sampling_ends_at_once_with_the_run() -> None:
    samples = Samples(1)
    with system_metrics(samples, interval_seconds=PATIENCE_SECONDS):
        assert num_samplers() == 1
        started = time.perf_counter()
    assert time.perf_counter() - started < PATIENCE_SECONDS / 2
    assert num_samplers() == 0
    assert not samples.taken


def test_a_failed_run_ends_its_sampling_too() -> None:
    with (
        pytest.raises(ValueError, match="out of memory"),
        system_metrics(Samples(1), interval_seconds=PATIENCE_SECONDS),
    ):
        raise ValueError("out of memory")
    assert num_samplers() == 0


def test_samples_that_cannot_be_stored_are_a_warning_and_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = threading.Event()

    def refuse(values: Mapping[str, float], step: int) -> None:
        refused.set()
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.WARNING), system_metrics(refuse, interval_seconds=0.02):
        assert refused.wait(PATIENCE_SECONDS)
    assert [record.getMessage() for record in caplog.records] == [
        "no more system metrics: OSError: [Errno 28] No space left on device"
    ]
