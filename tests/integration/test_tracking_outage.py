"""A real MLflow server dies: no metric is lost or duplicated, and no run waits for the server."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import StorageUnavailableError, TrackingUnavailableError
from orchestrator.tracking import RunStatus, open_run
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.tracker import PATIENCE_SECONDS as RUNS_PATIENCE
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox.left_behind import deliver_left_behind
from tests.integration.servers import MlflowServer, mlflow_server
from tests.waiting import PATIENCE_SECONDS

LOSS = "teacher_training/loss"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder}/mlflow.db", folder) as running:
        yield running


@pytest.fixture
def up(server: MlflowServer) -> MlflowServer:
    """Return the server, restarted if an earlier test has killed it."""
    if not server.answers():
        server.start()
    return server


@pytest.fixture
def tracking(server: MlflowServer, tmp_path: Path) -> TrackingConfig:
    return TrackingConfig(uri=server.uri, spool=tmp_path / "spool")


def history(client: MlflowClient, run_id: str, metric: str = LOSS) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


def log(tracker: MlflowTracker, steps: range) -> None:
    """Log a value for each step."""
    for step in steps:
        tracker.log_metrics({LOSS: step / 10}, step)


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Record the names of the threads that send numbers to the server."""
    found: set[str] = set()
    real = MlflowClient.log_batch

    def noting(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they are
        found.add(threading.current_thread().name)
        return real(*arguments, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", noting)
    return found


def values(steps: range) -> list[tuple[int, float]]:
    return [(step, step / 10) for step in steps]


def test_a_killed_and_restarted_server_has_every_number_once_and_in_order(
    up: MlflowServer, tracking: TrackingConfig, senders: set[str]
) -> None:
    tracker = open_run(tracking, "outage", "a run", {})
    log(tracker, range(1, 40))
    assert tracker.flush(PATIENCE_SECONDS)
    up.kill()
    log(tracker, range(40, 300))
    assert not tracker.flush(5)
    assert senders == {"tracking"}, "who logs asked a dead server"
    tracker.set_tags({"while": "away"})
    up.start()
    log(tracker, range(300, 320))
    tracker.close(RunStatus.FINISHED)
    client = MlflowClient(up.uri)
    run = client.get_run(tracker.run_id)
    assert history(client, tracker.run_id) == values(range(1, 320))
    assert (run.info.status, run.data.tags["while"]) == ("FINISHED", "away")
    assert list(tracking.spool.iterdir()) == [], "what was sent still waits"


def test_entries_left_by_a_run_without_its_server_are_sent_by_reconcile(
    up: MlflowServer,
    tracking: TrackingConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    orchestrator_command: Callable[..., "object"],
) -> None:
    tracker = open_run(tracking, "stays away", "a sweep", {})
    child = tracker.open_child("trial 0", {})
    assert tracker.flush(PATIENCE_SECONDS)
    up.kill()
    log(child, range(1, 30))
    file = tmp_path / "result.txt"
    file.write_text("as it was when it was logged")
    tracker.log_file(file, "results")
    late = tracker.open_child("trial 1", {})
    log(late, range(1, 5))
    file.write_text("changed since")
    late.close(RunStatus.KILLED, "stopped by asha")
    child.close(RunStatus.FINISHED)
    began = time.monotonic()
    tracker.close(RunStatus.FINISHED)
    waited = time.monotonic() - began
    assert waited < RUNS_PATIENCE[RunStatus.FINISHED], "the end of a run waited for a dead server"
    assert "`orchestrator reconcile` sends them" in caplog.text

    command = ["reconcile", "--tracking-uri", up.uri, "--spool", str(tracking.spool)]
    refused = orchestrator_command(*command)
    assert refused.returncode == 3  # type: ignore[attr-defined]
    up.start()
    done = orchestrator_command(*command)
    assert done.returncode == 0, done  # type: ignore[attr-defined]

    client = MlflowClient(up.uri)
    assert history(client, child.run_id) == values(range(1, 30))
    assert (
        client.get_run(tracker.run_id).info.status
        == client.get_run(child.run_id).info.status
        == "FINISHED"
    )
    copy = client.download_artifacts(tracker.run_id, "results/result.txt", str(tmp_path))
    assert Path(copy).read_text() == "as it was when it was logged"
    (found,) = client.search_runs(
        [tracker.experiment_id], f"tags.`orchestrator.spool_id` = '{late.run_id}'"
    )
    assert history(client, found.info.run_id) == values(range(1, 5))
    assert (found.info.status, found.data.tags["mlflow.parentRunId"]) == ("KILLED", tracker.run_id)
    assert found.data.tags["orchestrator.status_reason"] == "stopped by asha"
    assert list(tracking.spool.iterdir()) == []


class Absent(NamedTuple):
    """A database whose folder does not exist until it is mounted."""

    tracking: TrackingConfig
    folder: Path

    def mount(self) -> MlflowClient:
        self.folder.unlink()
        self.folder.mkdir()
        return MlflowClient(self.tracking.uri)


@pytest.fixture
def absent(tmp_path: Path) -> Absent:
    (tmp_path / "database").touch()
    tracking = TrackingConfig(
        uri=f"sqlite:///{tmp_path}/database/mlflow.db", spool=tmp_path / "spool", required=False
    )
    return Absent(tracking, tmp_path / "database")


def test_an_unreachable_required_store_is_reported_before_training(absent: Absent) -> None:
    with pytest.raises(TrackingUnavailableError, match="cannot be used"):
        open_run(
            absent.tracking.model_copy(update={"required": True}), "begun without", "a run", {}
        )


def test_an_optional_store_may_be_unreachable_from_the_start(absent: Absent) -> None:
    tracker = open_run(absent.tracking, "begun without", "a run", {"mine": "yes"})
    tracker.log_parameters({"seed": "3"})
    log(tracker, range(1, 10))
    child = tracker.open_child("trial 0", {})
    log(child, range(1, 3))
    child.close(RunStatus.FINISHED)
    tracker.close(RunStatus.FINISHED)
    client = absent.mount()
    # the next run of the same store sends its entries
    open_run(absent.tracking, "begun without", "the next", {}).close(RunStatus.FINISHED)
    experiment = client.get_experiment_by_name("begun without")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["a run", "the next", "trial 0"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    run = runs["a run"]
    assert (run.data.params, run.data.tags["mine"], run.data.tags["orchestrator.spool_id"]) == (
        {"seed": "3"},
        "yes",
        tracker.run_id,
    )
    assert runs["trial 0"].data.tags["mlflow.parentRunId"] == run.info.run_id
    assert history(client, run.info.run_id) == values(range(1, 10))


def test_a_run_started_without_a_store_is_resumed_by_its_given_id(absent: Absent) -> None:
    tracker = open_run(absent.tracking, "gone on with", "a sweep", {})
    child = tracker.open_child("trial 0", {})
    log(child, range(1, 5))
    tracker.close(RunStatus.KILLED, "told to end")
    client = absent.mount()
    again = open_run(absent.tracking, "gone on with", "a sweep", {}, run_id=tracker.run_id)
    trial = again.open_child("trial 0", {}, run_id=child.run_id)
    log(trial, range(1, 8))
    trial.close(RunStatus.FINISHED)
    again.close(RunStatus.FINISHED)
    runs = {run.info.run_name: run for run in client.search_runs([again.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "a sweep": "FINISHED",
        "trial 0": "FINISHED",
    }
    assert history(client, runs["trial 0"].info.run_id) == values(range(1, 8))


def test_a_repeated_delivery_adds_nothing(absent: Absent, tmp_path: Path) -> None:
    tracker = open_run(absent.tracking, "repeated", "a run", {})
    log(tracker, range(1, 10))
    tracker.close(RunStatus.FINISHED)
    shutil.copytree(absent.tracking.spool, tmp_path / "again")
    client = absent.mount()
    first, second = (
        deliver_left_behind(spool, MlflowDelivery)
        for spool in (absent.tracking.spool, tmp_path / "again")
    )
    assert [left.num_sent for left in (*first, *second)] == [11, 11]
    experiment = client.get_experiment_by_name("repeated")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert history(client, run.info.run_id) == values(range(1, 10))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system with space for the folder of a session, and little more."""
    folder = tmp_path / "full disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting needs root: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_no_number_while_the_server_answers(
    up: MlflowServer, full_disk: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    tracker = open_run(TrackingConfig(uri=up.uri, spool=full_disk), "full disk", "a run", {})
    fill(full_disk)
    log(tracker, range(1, 50))
    file = tmp_path / "result.txt"
    file.write_text("kept")
    tracker.log_file(file)
    tracker.close(RunStatus.FINISHED)
    client = MlflowClient(up.uri)
    assert history(client, tracker.run_id) == values(range(1, 50))
    assert (
        Path(client.download_artifacts(tracker.run_id, "result.txt", str(tmp_path))).read_text()
        == "kept"
    )
    assert client.get_run(tracker.run_id).info.status == "FINISHED"
    assert caplog.text.count("the spool cannot be written") == 1


def test_a_full_disk_with_an_unreachable_server_is_reported_when_the_run_ends(
    up: MlflowServer, full_disk: Path
) -> None:
    tracker = open_run(TrackingConfig(uri=up.uri, spool=full_disk), "full disk", "a run", {})
    assert tracker.flush(PATIENCE_SECONDS)
    up.kill()
    fill(full_disk)
    log(tracker, range(1, 500))
    with pytest.raises(TrackingUnavailableError, match=r"are lost.*run the same command again"):
        tracker.close(RunStatus.FINISHED)


def test_a_spool_that_cannot_be_created_is_reported_before_training(
    up: MlflowServer, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(
        StorageUnavailableError,
        match=r"the spool of tracked numbers cannot be written.*tracking\.spool",
    ):
        open_run(
            TrackingConfig(uri=up.uri, spool=tmp_path / "a file" / "spool"), "no spool", "a run", {}
        )


def fill(folder: Path) -> None:
    """Fill the folder's file system."""
    with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 512)


def test_a_killed_process_leaves_every_number_to_the_next_command(
    up: MlflowServer, tracking: TrackingConfig
) -> None:
    code = (
        "import os, signal, sys\nfrom orchestrator.config.experiment import TrackingConfig\nfrom"
        " orchestrator.tracking import open_run\ntracker = open_run(TrackingConfig(uri=sys.argv[1],"
        " spool=sys.argv[2]), 'killed', 'a run', {})\nfor step in range(1, 200):\n   "
        " tracker.log_metrics({'teacher_training/loss': step / 10}, step)\nprint(tracker.run_id,"
        " flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, up.uri, str(tracking.spool)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    open_run(tracking, "killed", "the next", {}).close(RunStatus.FINISHED)
    client = MlflowClient(up.uri)
    run = client.get_run(killed.stdout.strip())
    assert history(client, run.info.run_id) == values(range(1, 200))
    assert run.info.status == "FAILED"
    assert "is gone" in run.data.tags["orchestrator.status_reason"]
