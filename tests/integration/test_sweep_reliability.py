"""Sweeps whose processes are killed: computed stages are kept, nothing is computed twice, and no
process or file is left behind.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from orchestrator.config import Experiment, dump_experiment
from tests.integration.processes import processes_of, run_statuses, start_orchestrator
from tests.waiting import PATIENCE_SECONDS, wait_until

TEMPERATURES = [1, 4, 8]
NUM_TASKS = 3
GONE_SECONDS = 120  # for processes that end in seconds on an idle machine

pytestmark = pytest.mark.reliability


class Driver(NamedTuple):
    """`orchestrator sweep` as a separate process."""

    folder: Path

    def start(self, *more: str) -> "subprocess.Popen[str]":
        files = [
            str(self.folder / "space.yaml"),
            "--experiment",
            str(self.folder / "experiment.yaml"),
        ]
        return start_orchestrator(
            "sweep", *files, "--output", str(self.output), *more, folder=self.folder
        )

    def finish(self, *more: str) -> dict[str, Any]:
        process = self.start(*more)
        said, complaints = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said + complaints
        return self.summary

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return summary

    def trials(self) -> dict[int, dict[str, Any]]:
        """Return the newest complete line of each trial in the ledger."""
        file = self.output / "ledger.jsonl"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        newest = [line["trial"] for line in map(json.loads, lines) if "trial" in line]
        return {trial["number"]: trial for trial in newest}

    def stored(self) -> dict[str, int]:
        """Return the time at which each stage and evaluation was stored, by the path of its
        manifest.
        """
        return {
            str(path): path.stat().st_mtime_ns
            for path in (self.folder / "store").glob("[0-9a-f]*/manifest.json")
        }

    def num_stages(self) -> int:
        return sum(
            "epochs" in json.loads(Path(path).read_text())["values"] for path in self.stored()
        )

    def statuses(self) -> list[str]:
        return run_statuses(f"sqlite:///{self.folder}/mlflow.db")


@pytest.fixture(scope="module")
def new_driver(
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], Driver]:
    def make() -> Driver:
        folder = tmp_path_factory.mktemp("sweep driver")
        values = tiny_experiment.model_dump()
        values["student"]["training"]["epochs"] = 40  # long enough to be killed halfway
        values |= {
            "store": {"uri": f"{folder}/store"},
            "tracking": {"uri": new_database(folder), "spool": f"{folder}/spool"},
        }
        (folder / "experiment.yaml").write_text(dump_experiment(Experiment.model_validate(values)))
        parameters = {"student.temperature": {"kind": "choice", "values": TEMPERATURES}}
        (folder / "space.yaml").write_text(
            yaml.safe_dump({"name": "test", "parameters": parameters, "searcher": {"kind": "grid"}})
        )
        return Driver(folder)

    return make


@pytest.fixture(scope="module")
def undisturbed(new_driver: Callable[[], Driver]) -> dict[str, Any]:
    return new_driver().finish()


def outcome(summary: Mapping[str, Any]) -> dict[int, tuple[Any, ...]]:
    """Return what no kill may change: parameters, status and value of each trial."""
    return {
        trial["trial"]: (trial["parameters"], trial["status"], trial["value"])
        for trial in summary["trials"]
    }


@pytest.mark.parametrize("num_stages", [0, 5])
def test_a_killed_sweep_resumes_with_the_same_trials_and_computes_no_stage_twice(
    new_driver: Callable[[], Driver], undisturbed: dict[str, Any], num_stages: int
) -> None:
    driver = new_driver()
    process = driver.start()
    wait_until(
        lambda: (
            (bool(driver.trials()) and driver.num_stages() >= num_stages)
            or process.poll() is not None
        )
    )
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGKILL
    # computing processes end at once; Ray's two agents of a node look for the dead head for a
    # minute
    wait_until(
        lambda: all("Agent" in command for command in processes_of(process.pid).values()),
        GONE_SECONDS,
    )
    wait_until(lambda: not processes_of(process.pid))
    before, stored = driver.trials(), driver.stored()
    assert any(trial["status"] == "running" for trial in before.values())

    summary = driver.finish("--resume")
    assert outcome(summary) == outcome(undisturbed)
    after = driver.trials()
    for number, trial in before.items():
        assert after[number]["run_id"] == trial["run_id"]
        assert after[number]["configuration"] == trial["configuration"]
    assert stored.items() <= driver.stored().items()
    assert driver.num_stages() == NUM_TASKS * (1 + len(TEMPERATURES))
    assert driver.statuses() == ["FINISHED"] * (1 + len(TEMPERATURES))


def test_a_killed_trial_process_is_restarted_and_the_values_are_the_same(
    new_driver: Callable[[], Driver], undisturbed: dict[str, Any]
) -> None:
    driver = new_driver()
    process = driver.start()
    wait_until(lambda: driver.num_stages() >= 4 or process.poll() is not None)
    actors = [pid for pid, command in processes_of(process.pid).items() if "Trainable" in command]
    assert actors
    stored = driver.stored()
    for pid in actors:
        os.kill(pid, signal.SIGKILL)
    said, complaints = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said + complaints
    assert complaints == ""
    assert outcome(driver.summary) == outcome(undisturbed)
    assert stored.items() <= driver.stored().items()
    assert driver.num_stages() == NUM_TASKS * (1 + len(TEMPERATURES))
    assert driver.statuses() == ["FINISHED"] * (1 + len(TEMPERATURES))


def test_ctrl_c_ends_soon_closes_every_run_and_the_sweep_can_be_resumed(
    new_driver: Callable[[], Driver], undisturbed: dict[str, Any]
) -> None:
    driver, began = new_driver(), time.monotonic()
    process = driver.start()
    wait_until(lambda: driver.num_stages() >= 3 or process.poll() is not None)
    told = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=PATIENCE_SECONDS)
    seconds = time.monotonic() - told
    assert process.returncode == 130
    assert len(complaints.splitlines()) == 1
    assert complaints.startswith("error: interrupted")
    assert set(driver.statuses()) == {"KILLED"}
    assert {trial["status"] for trial in driver.trials().values()} <= {"interrupted", "finished"}
    wait_until(lambda: not processes_of(process.pid), GONE_SECONDS)
    # ten seconds, or longer where the start took longer too
    assert seconds < max(10, told - began)
    assert not (driver.output / "summary.json").exists()
    assert outcome(driver.finish("--resume")) == outcome(undisturbed)
    assert driver.statuses() == ["FINISHED"] * (1 + len(TEMPERATURES))


def test_a_trial_whose_process_dies_each_time_fails_and_is_retried_on_resume(
    new_driver: Callable[[], Driver],
) -> None:
    driver = new_driver()
    process = driver.start()
    killed: set[int] = set()

    def kill_all() -> bool:
        """Kill every trial process that appears, until three trials have failed."""
        actors = {
            pid for pid, command in processes_of(process.pid).items() if "Trainable" in command
        } - killed
        for pid in actors:
            os.kill(pid, signal.SIGKILL)
        killed.update(actors)
        return process.poll() is not None

    wait_until(kill_all)
    _, complaints = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3
    assert "all trials failed, the first with: the trial's process ended 3 times" in complaints
    assert "out of memory?" in complaints
    assert len(complaints.splitlines()) == 1
    assert set(driver.statuses()) == {"FAILED"}
    summary = driver.finish("--resume")
    assert {trial["status"] for trial in summary["trials"]} == {"finished"}
    assert set(driver.statuses()) == {"FINISHED"}
