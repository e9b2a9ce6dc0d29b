"""Real Ray on this machine: both lanes, and their behaviour when processes are killed, the store
fails, or the lanes do not fit.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from orchestrator.config import Experiment, dump_experiment, load_experiment
from orchestrator.pipelines.run.execution import compute
from orchestrator.pipelines.run.run import run
from orchestrator.stages import Work, prepare_work
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished
from orchestrator.tracking import InMemoryTracker
from tests.integration.processes import processes_of, run_statuses, start_orchestrator
from tests.waiting import PATIENCE_SECONDS, wait_until

Command = Callable[..., "subprocess.CompletedProcess[str]"]
GONE_SECONDS = 120  # for processes that end in seconds on an idle machine

ON_RAY = ["execution.kind=ray"]
# stages long enough to be interrupted halfway
LONG = ["teacher.refinement.epochs=40", "student.training.epochs=40"]
LONG_TEACHER = ["teacher.refinement.epochs=40", "scenario.class_order=[0, 1, 2, 3]"]


class Driver(NamedTuple):
    """`orchestrator run` as a separate process."""

    folder: Path
    file: Path
    started: "list[subprocess.Popen[str]]"

    def words(self, *settings: str) -> list[str]:
        """Return the command line."""
        sets = [word for value in (*self.places, *settings) for word in ("--set", value)]
        return ["run", str(self.file), *sets, "--output", str(self.output)]

    def start(self, *settings: str) -> "subprocess.Popen[str]":
        process = start_orchestrator(*self.words(*settings), folder=self.folder)
        self.started.append(process)
        return process

    def run(self, *settings: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*settings)
        said, complaints = process.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, said, complaints)

    def run_here(self, *settings: str) -> "Driver":
        """Run in this process, which has imported everything already; without Ray unless
        configured.
        """
        with patch.dict(os.environ):  # restore environment variables, which preparing for Ray sets
            run(
                load_experiment(self.file, [*self.places, *settings]),
                self.output,
                tracker=InMemoryTracker(),
            )
        return self

    @property
    def places(self) -> list[str]:
        return [
            f"store.uri={self.store}",
            f"tracking.uri=sqlite:///{self.folder}/mlflow.db",
            "tracking.models=none",
        ]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return summary

    def statuses(self) -> list[str]:
        return run_statuses(f"sqlite:///{self.folder}/mlflow.db")

    def result(self) -> dict[str, Any]:
        """Return digests of all weights, all training curves, and all metrics."""
        weights, curves = {}, {}
        for stage in self.summary["stages"]:
            folder = self.store / stage["key"]
            manifest = json.loads((folder / "manifest.json").read_text())
            weights[stage["name"]] = hashlib.sha256(
                (folder / f"{manifest['sha256']}.safetensors").read_bytes()
            ).hexdigest()
            curves[stage["name"]] = manifest["values"]["epochs"]
        return {
            "weights": weights,
            "curves": curves,
            "teacher": self.summary["teacher"],
            "student": self.summary["student"],
            "doubted": (self.output / "suspicious_labels.csv").read_text(),
        }

    def unfinished_files(self) -> list[Path]:
        return [path for path in self.store.rglob("*") if path.name.startswith(".tmp-")] + [
            *self.store.glob("progress/*")
        ]


@pytest.fixture(scope="module")
def new_driver(
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], Driver]]:
    started: list[subprocess.Popen[str]] = []

    def make() -> Driver:
        folder = tmp_path_factory.mktemp("driver")
        new_database(folder)
        (folder / "experiment.yaml").write_text(dump_experiment(tiny_experiment))
        return Driver(folder, folder / "experiment.yaml", started)

    yield make
    for process in started:  # of a test that failed halfway
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def undisturbed(
    new_driver: Callable[[], Driver],
) -> tuple[Driver, "subprocess.CompletedProcess[str]"]:
    driver = new_driver()
    return driver, driver.run(*ON_RAY)


@pytest.fixture(scope="module")
def long_result(new_driver: Callable[[], Driver]) -> dict[str, Any]:
    """Return the result of the undisturbed long experiment; without Ray, which is faster and must
    give the same result.
    """
    return new_driver().run_here(*LONG).result()


def in_the_middle_of(driver: Driver, stage: int) -> bool:
    """Return whether that many stages and evaluations are stored, and one more has a checkpoint."""
    num_stored = len([*driver.store.glob("[0-9a-f]*/manifest.json")]) // 2
    return num_stored >= stage and any(driver.store.glob("progress/*/*/manifest.json"))


def kill_in_the_middle_of(
    driver: Driver, process: "subprocess.Popen[str]", target: str, stage: int
) -> None:
    """Kill the driver, or a process of its session, with signal 9 as soon as the moment has
    come.
    """
    victims = {"driver": process.pid}

    def is_found() -> bool:
        victims.update({what: pid for pid, what in processes_of(process.pid).items()})
        return target in victims or process.poll() is not None

    wait_until(is_found)
    wait_until(
        lambda: in_the_middle_of(driver, stage) or process.poll() is not None, pause_seconds=0.005
    )
    os.kill(victims[target], signal.SIGKILL)


# --- undisturbed ----------------------------------------------------------------------------------


def test_lanes_give_the_same_weights_and_metrics_as_one_process(
    undisturbed: tuple[Driver, "subprocess.CompletedProcess[str]"], new_driver: Callable[[], Driver]
) -> None:
    on_ray, answer = undisturbed
    assert answer.returncode == 0, answer.stderr
    assert on_ray.result() == new_driver().run_here().result()


def test_the_terminal_shows_no_ray_output_and_names_its_log(
    undisturbed: tuple[Driver, "subprocess.CompletedProcess[str]"],
) -> None:
    driver, answer = undisturbed
    assert answer.stderr == ""
    assert "pid=" not in answer.stdout
    assert f"Ray log  {driver.output / 'ray.log'}" in answer.stdout
    log = (driver.output / "ray.log").read_text()
    assert "(TrainController pid=" in log
    assert "State API" not in log
    assert len(answer.stdout.splitlines()) < 45


def test_a_second_run_computes_nothing_and_starts_no_ray(
    undisturbed: tuple[Driver, "subprocess.CompletedProcess[str]"],
) -> None:
    driver, _ = undisturbed
    first = driver.summary
    (driver.output / "ray.log").unlink()
    driver.run_here(*ON_RAY)
    assert not (driver.output / "ray.log").exists()
    assert all(stage["cached"] for stage in driver.summary["stages"])
    assert driver.summary["worker_seconds"] == 0
    assert driver.summary["teacher"] == first["teacher"]


def test_a_run_leaves_no_unfinished_file_and_is_finished_in_mlflow(
    undisturbed: tuple[Driver, "subprocess.CompletedProcess[str]"],
) -> None:
    driver, _ = undisturbed
    assert driver.unfinished_files() == []
    assert set(driver.statuses()) == {"FINISHED"}


# --- too few resources, unreachable clusters ------------------------------------------------------


def test_too_few_cpus_are_reported_at_once_with_the_arithmetic(
    new_driver: Callable[[], Driver], orchestrator_command: Command
) -> None:
    driver = new_driver()
    answer = orchestrator_command(
        *driver.words(
            *ON_RAY,
            "execution.teacher.num_cpus_per_worker=300",
            "execution.student.num_cpus_per_worker=0.5",
        )
    )
    assert answer.returncode == 2
    assert (
        "the lanes need 300.5 CPU at the same time (teacher lane 1 x 300 + student lane 1 x 0.5),"
        " this machine has" in answer.stderr
    )
    assert len(answer.stderr.splitlines()) == 1
    assert not (driver.output / "ray.log").exists(), "Ray was started before the arithmetic"


def test_a_resource_that_this_machine_lacks_is_a_user_error(
    new_driver: Callable[[], Driver], orchestrator_command: Command
) -> None:
    answer = orchestrator_command(
        *new_driver().words(*ON_RAY, "execution.teacher.custom_resources_per_worker={big_disk: 1}")
    )
    assert answer.returncode == 2
    assert (
        "1 big_disk at the same time (teacher lane 1 x 1 + student lane 1 x 0), this machine has 0"
        in answer.stderr
    )


def test_an_unreachable_cluster_is_a_retryable_error(
    new_driver: Callable[[], Driver], orchestrator_command: Command
) -> None:
    answer = orchestrator_command(*new_driver().words(*ON_RAY, "execution.address=127.0.0.1:1"))
    assert answer.returncode == 3
    assert "error: 127.0.0.1:1: the Ray cluster does not answer" in answer.stderr
    assert "Traceback" not in answer.stderr


# --- interrupted ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGTERM, marks=pytest.mark.reliability, id="sigterm"),
    ],
)
def test_a_termination_signal_ends_both_lanes_soon_and_leaves_nothing(
    new_driver: Callable[[], Driver], how: signal.Signals
) -> None:
    driver, began = new_driver(), time.monotonic()
    process = driver.start(*ON_RAY, "student.training.epochs=100000")
    wait_until(lambda: in_the_middle_of(driver, 2) or process.poll() is not None)
    told = time.monotonic()
    process.send_signal(how)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    # some seconds on an idle machine, and longer where the start took longer too
    assert time.monotonic() - told < 10 + 2 * (told - began)
    assert process.returncode == 130
    assert f"Ray's log is {driver.output / 'ray.log'}" in said
    assert len(said.splitlines()) == 1
    assert driver.statuses() == ["KILLED"]
    wait_until(lambda: not processes_of(process.pid), GONE_SECONDS)


@pytest.mark.reliability
def test_a_killed_worker_is_restarted_and_the_result_is_the_same(
    new_driver: Callable[[], Driver],
) -> None:
    driver = new_driver()
    process = driver.start(*ON_RAY, *LONG_TEACHER)
    kill_in_the_middle_of(driver, process, "teacher", 0)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    assert "teacher[0]: its workers were restarted" in said
    assert driver.result() == new_driver().run_here(*LONG_TEACHER).result()
    assert driver.unfinished_files() == []


@pytest.mark.reliability
@pytest.mark.parametrize("target", ["driver", "raylet", "student"])
def test_after_a_kill_the_same_command_gives_the_same_result(
    new_driver: Callable[[], Driver], long_result: dict[str, Any], target: str
) -> None:
    driver = new_driver()
    process = driver.start(*ON_RAY, *LONG)
    kill_in_the_middle_of(driver, process, target, 3)
    process.communicate(timeout=PATIENCE_SECONDS)
    # if its raylet is gone, the workers may still finish, or Ray's client may end the driver
    # without a message: docs/guides/run.md, "Limits"
    assert (
        process.returncode
        in {"driver": (-signal.SIGKILL,), "raylet": (0, 1, 3), "student": (0,)}[target]
    )
    # after the driver is killed, Ray's two agents wait for it for a minute; all computing processes
    # end in seconds
    wait_until(
        lambda: (
            not any(
                who in ("teacher", "student", "raylet")
                for who in processes_of(process.pid).values()
            )
        ),
        GONE_SECONDS,
    )
    wait_until(lambda: not processes_of(process.pid))
    is_over = process.returncode == 0
    if not is_over:
        answer = driver.run(*ON_RAY, *LONG)
        assert answer.returncode == 0, answer.stderr
    assert driver.result() == long_result
    assert driver.unfinished_files() == []
    assert driver.statuses() == (["FINISHED"] if is_over else ["FAILED", "FINISHED"])


@pytest.mark.reliability
def test_a_lane_that_loses_its_workers_too_often_fails_and_the_same_command_resumes(
    new_driver: Callable[[], Driver], long_result: dict[str, Any]
) -> None:
    driver = new_driver()
    process = driver.start(*ON_RAY, *LONG, "execution.max_worker_failures=0")
    kill_in_the_middle_of(driver, process, "teacher", 0)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3, said
    assert (
        "teacher lane: the lane's workers died more often than execution.max_worker_failures allows"
        in said
    )
    assert driver.run(*ON_RAY, *LONG).returncode == 0
    assert driver.result() == long_result


@pytest.mark.reliability
def test_two_drivers_of_one_experiment_do_not_interfere(
    new_driver: Callable[[], Driver], long_result: dict[str, Any]
) -> None:
    driver = new_driver()
    second = Driver(driver.folder / "second", driver.file, driver.started)
    second.folder.mkdir()
    shared = [
        *ON_RAY,
        *LONG,
        "execution.teacher.num_cpus_per_worker=0.5",
        "execution.student.num_cpus_per_worker=0.5",
    ]
    processes = [one.start(*shared, f"store.uri={driver.store}") for one in (driver, second)]
    for process in processes:
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said
    assert driver.result() == long_result
    assert driver.unfinished_files() == []
    assert second.summary["student"] == driver.summary["student"]


# --- more than one worker, more than one node -----------------------------------------------------


@pytest.mark.reliability
def test_two_workers_reach_the_accuracy_of_one(
    new_driver: Callable[[], Driver], undisturbed: tuple[Driver, object]
) -> None:
    driver = new_driver()
    half = [
        "execution.teacher.num_cpus_per_worker=0.5",
        "execution.student.num_cpus_per_worker=0.5",
    ]
    answer = driver.run(
        *ON_RAY,
        *half,
        "execution.teacher.num_train_workers=2",
        "execution.student.num_train_workers=2",
    )
    assert answer.returncode == 0, answer.stderr
    one, two = (
        undisturbed[0].summary["teacher"]["last_accuracy"],
        driver.summary["teacher"]["last_accuracy"],
    )
    assert two == pytest.approx(one, abs=0.1)


@pytest.mark.reliability
def test_a_lost_node_is_replaced_by_a_spare_one(
    new_driver: Callable[[], Driver],
    long_result: dict[str, Any],
    cluster: Any,  # noqa: ANN401
) -> None:
    driver = new_driver()
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    cluster.wait_for_nodes()
    process = driver.start(*ON_RAY, *LONG, f"execution.address={cluster.address}")
    wait_until(lambda: in_the_middle_of(driver, 1) or process.poll() is not None)
    # the node of the teacher's worker: its parent is that node's raylet
    workers = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"RayTrainWorker" in path.read_bytes()
    ]
    parents = {
        int(Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[1])
        for worker in workers
    }
    busy = [node for node in nodes if node.all_processes["raylet"][0].process.pid in parents]
    cluster.remove_node(busy[0], allow_graceful=False)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    assert driver.result() == long_result
    assert not (driver.store / "ray").exists() or not any((driver.store / "ray").iterdir())


@pytest.mark.reliability
def test_an_elastic_lane_that_loses_its_nodes_for_good_ends_with_the_arithmetic(
    new_driver: Callable[[], Driver],
    cluster: Any,  # noqa: ANN401
) -> None:
    driver = new_driver()
    nodes = [cluster.add_node(num_cpus=2), cluster.add_node(num_cpus=1)]
    cluster.wait_for_nodes()
    elastic = (
        "execution.teacher.num_train_workers=[2, 3]",
        "execution.start_timeout_seconds=10",
        "execution.max_start_attempts=1",
    )
    process = driver.start(*ON_RAY, *LONG, *elastic, f"execution.address={cluster.address}")
    wait_until(lambda: in_the_middle_of(driver, 1) or process.poll() is not None)
    cluster.remove_node(nodes[0], allow_graceful=False)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3, said
    assert (
        "the lanes need 3 CPU at the same time (teacher lane 2 x 1 + student lane 1 x 1), what"
        " remains of the cluster has 1" in said
    )


@pytest.mark.reliability
def test_a_cluster_that_is_too_small_is_reported_with_the_arithmetic(
    new_driver: Callable[[], Driver],
    cluster: Any,  # noqa: ANN401
) -> None:
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    answer = new_driver().run(*ON_RAY, f"execution.address={cluster.address}")
    assert answer.returncode == 2
    assert (
        "the lanes need 2 CPU at the same time (teacher lane 1 x 1 + student lane 1 x 1), the"
        " cluster" in answer.stderr
    )


# --- a store that fails ---------------------------------------------------------------------------


@pytest.fixture
def work(tiny_experiment: Experiment, tmp_path: Path) -> Work:
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_experiment(tiny_experiment))
    return prepare_work(load_experiment(file, [f"store.uri={tmp_path}/store"]))


def test_a_store_that_vanishes_gives_the_right_result_or_a_retryable_error(
    work: Work, tmp_path: Path
) -> None:
    store = tmp_path / "store"

    def remove_store(event: StageEvent) -> None:
        if isinstance(event, EpochFinished) or (
            isinstance(event, StageFinished) and event.stage == "student[0]"
        ):
            shutil.rmtree(store, ignore_errors=True)

    compute(work, remove_store, tmp_path / "ray.log")
    events: list[StageEvent] = []
    compute(work, events.append, tmp_path / "ray.log")
    assert all(work.is_stored(stage) for stage in work.stages)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of two megabytes."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting needs root: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_retryable_error_and_leaves_no_partial_file(
    new_driver: Callable[[], Driver], small_disk: Path, orchestrator_command: Command
) -> None:
    store = small_disk / "store"
    words = new_driver().words(f"store.uri={store}")
    answer = orchestrator_command(*words)
    assert answer.returncode == 3, answer.stderr
    assert "the stage store cannot be written" in answer.stderr
    assert "No space left on device" in answer.stderr
    assert not [path for path in store.rglob("*") if path.name.startswith(".tmp-")]
    # once there is space again, complete artifacts are used and the rest is computed
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert orchestrator_command(*words).returncode == 0


def test_a_read_only_store_is_reported_before_training(
    new_driver: Callable[[], Driver], small_disk: Path, orchestrator_command: Command
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    answer = orchestrator_command(*new_driver().words(*ON_RAY, f"store.uri={small_disk}/store"))
    assert answer.returncode == 3
    assert "the stage store cannot be written" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_flipped_byte_is_detected_and_the_stage_trained_again(work: Work, tmp_path: Path) -> None:
    compute(work, lambda _: None, tmp_path / "ray.log")
    [damaged] = [stage for stage in work.stages if stage.name == "teacher[1]"]
    before = {stage.name: work.artifact_of(stage).tensors for stage in work.stages}
    [tensors] = (tmp_path / "store" / damaged.key).glob("*.safetensors")
    content = bytearray(tensors.read_bytes())
    content[len(content) // 2] ^= 1
    tensors.write_bytes(content)
    events: list[StageEvent] = []
    compute(work, events.append, tmp_path / "ray.log")
    assert [
        event.stage for event in events if isinstance(event, StageFinished) and not event.cached
    ] == ["teacher[1]"]
    for stage in work.stages:
        after = work.artifact_of(stage).tensors
        assert all((after[name] == tensor).all() for name, tensor in before[stage.name].items())
