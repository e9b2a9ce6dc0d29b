"""A real MLflow server that dies: no number is lost, none arrives twice, and nobody waits for it."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config.experiment import TrackingConfig
from orchestrator.tracking import RunStatus, open_run
from orchestrator.tracking.mlflow_tracker import MlflowTracker
from tests.integration.servers import MlflowServer, mlflow_server

LOSS = "teacher_training/loss"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder}/mlflow.db", folder) as running:
        yield running


@pytest.fixture
def up(server: MlflowServer) -> MlflowServer:
    """The server, which answers, whatever an earlier test did to it."""
    if not server.answers():
        server.start()
    return server


@pytest.fixture
def tracking(server: MlflowServer, tmp_path: Path) -> TrackingConfig:
    return TrackingConfig(uri=server.uri, spool=tmp_path / "spool")


def history(client: MlflowClient, run_id: str, metric: str = LOSS) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


def log(tracker: MlflowTracker, steps: range) -> float:
    """Logs a value for each step, and returns the longest time that one took."""
    longest = 0.0
    for step in steps:
        began = time.monotonic()
        tracker.log_metrics({LOSS: step / 10}, step)
        longest = max(longest, time.monotonic() - began)
    return longest


def values(steps: range) -> list[tuple[int, float]]:
    return [(step, step / 10) for step in steps]


def test_a_server_that_is_killed_and_returns_has_every_number_once_and_in_order(up: MlflowServer, tracking: TrackingConfig) -> None:
    tracker = open_run(tracking, "outage", "a run", {})
    log(tracker, range(1, 40))
    assert tracker.flush(30)
    up.kill()
    assert log(tracker, range(40, 300)) < 1.0, "logging waited for a dead server"
    assert not tracker.flush(5)
    tracker.set_tags({"while": "away"})
    up.start()
    log(tracker, range(300, 320))
    tracker.close(RunStatus.FINISHED)
    client = MlflowClient(up.uri)
    run = client.get_run(tracker.run_id)
    assert history(client, tracker.run_id) == values(range(1, 320))
    assert (run.info.status, run.data.tags["while"]) == ("FINISHED", "away")
    assert list(tracking.spool.iterdir()) == [], "what was sent still waits"


def test_what_a_run_leaves_when_the_server_stays_away_is_sent_by_reconcile(
    up: MlflowServer,
    tracking: TrackingConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    orchestrator_command: Callable[..., "object"],
) -> None:
    tracker = open_run(tracking, "stays away", "a sweep", {})
    child = tracker.open_child("trial 0", {})
    assert tracker.flush(30)
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
    assert time.monotonic() - began < 10, "the end of a run waited for a dead server"
    assert "`orchestrator reconcile` sends them" in caplog.text

    command = ["reconcile", "--tracking-uri", up.uri, "--spool", str(tracking.spool)]
    refused = orchestrator_command(*command)
    assert refused.returncode == 3  # type: ignore[attr-defined]
    up.start()
    done = orchestrator_command(*command)
    assert done.returncode == 0, done  # type: ignore[attr-defined]

    client = MlflowClient(up.uri)
    assert history(client, child.run_id) == values(range(1, 30))
    assert client.get_run(tracker.run_id).info.status == client.get_run(child.run_id).info.status == "FINISHED"
    copy = client.download_artifacts(tracker.run_id, "results/result.txt", str(tmp_path))
    assert Path(copy).read_text() == "as it was when it was logged"
    (found,) = client.search_runs([tracker.experiment_id], f"tags.`orchestrator.spool_id` = '{late.run_id}'")
    assert history(client, found.info.run_id) == values(range(1, 5))
    assert (found.info.status, found.data.tags["mlflow.parentRunId"]) == ("KILLED", tracker.run_id)
    assert found.data.tags["orchestrator.status_reason"] == "stopped by asha"
    assert list(tracking.spool.iterdir()) == []


def test_a_store_that_is_not_required_may_be_away_from_the_first_number_on(up: MlflowServer, tracking: TrackingConfig) -> None:
    up.kill()
    later = tracking.model_copy(update={"required": False})
    tracker = open_run(later, "begun without", "a run", {"mine": "yes"})
    tracker.log_parameters({"seed": "3"})
    log(tracker, range(1, 10))
    child = tracker.open_child("trial 0", {})
    log(child, range(1, 3))
    child.close(RunStatus.FINISHED)
    tracker.close(RunStatus.FINISHED)
    up.start()
    # the next run of the same store sends it
    open_run(tracking, "begun without", "the next", {}).close(RunStatus.FINISHED)
    client = MlflowClient(up.uri)
    experiment = client.get_experiment_by_name("begun without")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["a run", "the next", "trial 0"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    run = runs["a run"]
    assert (run.data.params, run.data.tags["mine"], run.data.tags["orchestrator.spool_id"]) == ({"seed": "3"}, "yes", tracker.run_id)
    assert runs["trial 0"].data.tags["mlflow.parentRunId"] == run.info.run_id
    assert history(client, run.info.run_id) == values(range(1, 10))


def test_a_delivery_that_is_repeated_adds_nothing(up: MlflowServer, tracking: TrackingConfig, tmp_path: Path) -> None:
    later = tracking.model_copy(update={"required": False})
    up.kill()
    tracker = open_run(later, "repeated", "a run", {})
    log(tracker, range(1, 10))
    tracker.close(RunStatus.FINISHED)
    up.start()
    shutil.copytree(tracking.spool, tmp_path / "again")
    from orchestrator.tracking.reconciliation import deliver_left_behind

    first, second = deliver_left_behind(tracking.spool), deliver_left_behind(tmp_path / "again")
    assert [left.num_sent for left in (*first, *second)] == [11, 11]
    client = MlflowClient(up.uri)
    experiment = client.get_experiment_by_name("repeated")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert history(client, run.info.run_id) == values(range(1, 10))
