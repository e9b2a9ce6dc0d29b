"""No run stays RUNNING after its process has ended; runs of living processes are not touched."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.mlflow.abandoned_runs import close_abandoned_runs
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox.entries import End, Points
from orchestrator.tracking.outbox.spool import Destination
from orchestrator.tracking.run_process import RunProcess, this_process

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere no process is recorded, and every run is left alone"
)

DRIVER = """
import sys, time
from orchestrator.config.experiment import TrackingConfig
from orchestrator.tracking import open_run
config = TrackingConfig(uri=sys.argv[1], spool=sys.argv[3])
print(open_run(config, sys.argv[2], "a driver", {}).run_id, flush=True)
time.sleep(600)
"""
SWEEP_DRIVER = """
import sys, time
from orchestrator.config.experiment import TrackingConfig
from orchestrator.tracking import RunStatus, open_run
sweep = open_run(TrackingConfig(uri=sys.argv[1], spool=sys.argv[3]), sys.argv[2], "a sweep", {})
finished, *running = (sweep.open_child(f"trial {i}", {}) for i in range(3))
finished.close(RunStatus.FINISHED)
print(sweep.run_id, finished.run_id, *(trial.run_id for trial in running), flush=True)
time.sleep(600)
"""


def at(uri: str) -> TrackingConfig:
    """Return the store, with a spool next to its database."""
    return TrackingConfig(uri=uri, spool=Path(uri.removeprefix("sqlite:///")).parent / "spool")


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def mine(uri: str, experiment: str) -> MlflowTracker:
    """Return an open run of this living process."""
    return open_run(at(uri), experiment, "mine", {})


@pytest.fixture
def gone() -> RunProcess:
    """Return an ended process of this host: this pid, with an earlier start time."""
    here = this_process()
    assert here is not None
    return replace(here, start_ticks=str(int(here.start_ticks) - 1))


@pytest.fixture
def driver(
    uri: str, experiment: str, mine: MlflowTracker
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start another living process, and return it with the run that it opened."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, uri, experiment, str(at(uri).spool)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def left_by(process: RunProcess, mine: MlflowTracker) -> str:
    return str(mine.client.create_run(mine.experiment_id, tags=process.tags()).info.run_id)


def this_process_tags() -> dict[str, str]:
    here = this_process()
    assert here is not None
    return here.tags()


def status(mine: MlflowTracker, run_id: str) -> str:
    return str(mine.client.get_run(run_id).info.status)


def test_the_run_of_a_killed_driver_is_closed_when_the_next_run_opens_and_not_before(
    driver: tuple["subprocess.Popen[str]", str], uri: str, experiment: str, mine: MlflowTracker
) -> None:
    process, run_id = driver
    open_run(at(uri), experiment, "while it lives", {})
    assert status(mine, run_id) == "RUNNING"
    process.kill()
    process.wait()
    assert status(mine, run_id) == "RUNNING"
    opened = open_run(at(uri), experiment, "the next", {})
    run = mine.client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert (
        run.data.tags["orchestrator.status_reason"]
        == f"its process (pid {process.pid} on {socket.gethostname()}) is gone"
    )
    assert run.info.end_time >= run.info.start_time
    assert status(mine, opened.run_id) == status(mine, mine.run_id) == "RUNNING"


def test_the_sweep_of_a_killed_driver_is_closed_with_its_open_trials(
    uri: str, experiment: str, mine: MlflowTracker
) -> None:
    command = [sys.executable, "-c", SWEEP_DRIVER, uri, experiment, str(at(uri).spool)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        sweep, finished, *running = process.stdout.readline().split()
        process.kill()
    assert [status(mine, run_id) for run_id in (sweep, *running)] == ["RUNNING"] * 3
    open_run(at(uri), experiment, "the next", {})
    assert [status(mine, run_id) for run_id in (sweep, *running)] == ["FAILED"] * 3
    assert status(mine, finished) == "FINISHED"
    for run_id in (sweep, *running):
        reason = mine.client.get_run(run_id).data.tags["orchestrator.status_reason"]
        assert reason == f"its process (pid {process.pid} on {socket.gethostname()}) is gone"


def test_resuming_a_killed_sweep_closes_only_its_trials_that_are_not_resumed(
    uri: str, experiment: str, mine: MlflowTracker, gone: RunProcess
) -> None:
    sweep = left_by(gone, mine)
    trials = [
        mine.client.create_run(
            mine.experiment_id, tags=gone.tags() | {"mlflow.parentRunId": sweep}
        ).info.run_id
        for _ in range(2)
    ]
    reopened = open_run(at(uri), experiment, "a sweep", {}, run_id=sweep)
    assert [status(mine, run_id) for run_id in (sweep, *trials)] == ["RUNNING", "FAILED", "FAILED"]
    assert reopened.open_child("trial 0", {}, run_id=trials[0]).flush()
    open_run(at(uri), experiment, "the next", {})
    assert [status(mine, run_id) for run_id in (sweep, *trials)] == ["RUNNING", "RUNNING", "FAILED"]


def test_a_run_resumed_by_another_process_after_the_search_stays_open(
    uri: str,
    experiment: str,
    mine: MlflowTracker,
    gone: RunProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = left_by(gone, mine)
    search = mine.client.search_runs

    def searched_just_before_it_goes_on(*arguments: object, **options: object) -> object:
        found = search(*arguments, **options)  # type: ignore[arg-type]  # handed on as they are
        open_run(at(uri), experiment, "it goes on", {}, run_id=run_id)
        return found

    monkeypatch.setattr(mine.client, "search_runs", searched_just_before_it_goes_on)
    assert close_abandoned_runs(mine.client, uri, [mine.experiment_id]) == []
    assert status(mine, run_id) == "RUNNING"


def test_a_resumed_run_names_its_new_process_before_it_is_running(
    uri: str,
    experiment: str,
    mine: MlflowTracker,
    gone: RunProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = left_by(gone, mine)
    mine.client.set_terminated(run_id, RunStatus.FAILED)

    def refuse(*arguments: object, **options: object) -> None:
        raise MlflowException("the server is on fire")

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "update_run", refuse)
        with pytest.raises(TrackingUnavailableError, match="the server is on fire"):
            open_run(at(uri), experiment, "a run", {}, run_id=run_id)
    assert (
        mine.client.get_run(run_id).data.tags["orchestrator.process_started"]
        == this_process_tags()["orchestrator.process_started"]
    )
    assert status(mine, run_id) == "FAILED"


def test_without_process_information_a_resumed_run_drops_its_earlier_process(
    uri: str,
    experiment: str,
    mine: MlflowTracker,
    gone: RunProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = left_by(gone, mine)
    with monkeypatch.context() as elsewhere:
        for module in ("starting", "abandoned_runs"):
            elsewhere.setattr(f"orchestrator.tracking.mlflow.{module}.this_process", lambda: None)
        open_run(at(uri), experiment, "a run", {}, run_id=run_id)
    assert not mine.client.get_run(run_id).data.tags.keys() & gone.tags().keys()
    open_run(at(uri), experiment, "the next", {})
    assert status(mine, run_id) == "RUNNING"


def test_a_run_records_its_process(mine: MlflowTracker) -> None:
    tags = mine.client.get_run(mine.run_id).data.tags
    assert (tags["orchestrator.host"], tags["orchestrator.process"]) == (
        socket.gethostname(),
        str(os.getpid()),
    )
    assert tags["orchestrator.process_started"]


def test_a_reused_pid_keeps_no_run_open(
    uri: str, experiment: str, mine: MlflowTracker, gone: RunProcess
) -> None:
    run_id = left_by(gone, mine)
    open_run(at(uri), experiment, "the next", {})
    assert status(mine, run_id) == "FAILED"


def test_runs_of_other_hosts_without_tags_or_of_other_experiments_are_not_touched(
    uri: str, experiment: str, mine: MlflowTracker, gone: RunProcess
) -> None:
    elsewhere = left_by(replace(gone, host="another-host"), mine)
    unknown = str(mine.client.create_run(mine.experiment_id).info.run_id)
    of_another_experiment = left_by(
        gone, open_run(at(uri), f"{experiment}, another", "another", {})
    )
    open_run(at(uri), experiment, "the next", {})
    assert [status(mine, run_id) for run_id in (elsewhere, unknown, of_another_experiment)] == [
        "RUNNING"
    ] * 3


def unseen(gone: RunProcess, where: str) -> RunProcess:
    """Return a process that this host cannot observe."""
    return (
        replace(gone, host="another-host")
        if where == "another host"
        else replace(gone, pid_namespace="1")
    )


@pytest.mark.parametrize("where", ["another host", "another container of this host"])
def test_an_unobservable_process_is_considered_dead_after_15_minutes_without_heartbeat(
    where: str, uri: str, mine: MlflowTracker, gone: RunProcess
) -> None:
    process, now = unseen(gone, where), datetime.now(UTC)
    silent, lively, ahead = (left_by(process, mine) for _ in range(3))
    for run_id, minutes in ((silent, -16), (lively, -14), (ahead, 600)):  # its clock may be wrong
        mine.client.set_tag(
            run_id,
            names.HEARTBEAT_TAG,
            (now + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
        )
    assert close_abandoned_runs(mine.client, uri, [mine.experiment_id]) == [silent]
    reason = mine.client.get_run(silent).data.tags[names.STATUS_REASON_TAG]
    assert reason == f"no heartbeat from {process.host} for 16 minutes"
    assert [status(mine, run_id) for run_id in (lively, ahead)] == ["RUNNING"] * 2


def test_a_resumed_run_drops_the_heartbeat_of_its_earlier_process(
    uri: str, experiment: str, mine: MlflowTracker, gone: RunProcess
) -> None:
    run_id = left_by(gone, mine)
    mine.client.set_tag(
        run_id, names.HEARTBEAT_TAG, (datetime.now(UTC) - timedelta(days=3)).isoformat()
    )
    open_run(at(uri), experiment, "a run", {}, run_id=run_id)
    assert names.HEARTBEAT_TAG not in mine.client.get_run(run_id).data.tags


def test_a_run_wrongly_closed_by_another_host_is_reopened_and_ends_with_its_own_status(
    uri: str, experiment: str, mine: MlflowTracker
) -> None:
    run_id = mine.run_id
    delivery = MlflowDelivery(Destination(uri, experiment), {})
    delivery.send([Points(run=run_id, time_ms=1, values=[("loss", 0.5, 1)])])
    for number in range(2):
        mine.client.set_tag(
            run_id, names.STATUS_REASON_TAG, "no heartbeat from here for 16 minutes"
        )
        mine.client.set_terminated(run_id, "FAILED")
        if number == 0:
            delivery.beat()
            assert status(mine, run_id) == "RUNNING"
            assert names.STATUS_REASON_TAG not in mine.client.get_run(run_id).data.tags
    delivery.send(
        [
            End(
                run=run_id,
                status=RunStatus.FINISHED,
                reason="",
                ended_ms=mine.client.get_run(run_id).info.start_time + 1,
            )
        ]
    )
    assert status(mine, run_id) == "FINISHED"
    assert names.STATUS_REASON_TAG not in mine.client.get_run(run_id).data.tags


def test_the_earlier_process_neither_reopens_nor_ends_a_run_resumed_by_another(
    uri: str, experiment: str, mine: MlflowTracker, gone: RunProcess
) -> None:
    run_id = left_by(gone, mine)
    here = this_process_tags()[names.PROCESS_STARTED_TAG]
    mine.client.set_terminated(run_id, "FINISHED")
    delivery = MlflowDelivery(Destination(uri, experiment), {})
    delivery.send([Points(run=run_id, time_ms=1, values=[("loss", 0.5, 1)])])
    delivery.beat()
    delivery.send(
        [End(run=run_id, process=here, status=RunStatus.KILLED, reason="interrupted", ended_ms=1)]
    )
    assert status(mine, run_id) == "FINISHED"
    assert names.STATUS_REASON_TAG not in mine.client.get_run(run_id).data.tags


def test_a_closed_run_keeps_its_status(uri: str, mine: MlflowTracker, gone: RunProcess) -> None:
    run_id = left_by(gone, mine)
    mine.client.set_terminated(run_id, RunStatus.KILLED)
    assert close_abandoned_runs(mine.client, uri, [mine.experiment_id]) == []
    assert status(mine, run_id) == "KILLED"


def test_a_run_closed_by_its_own_process_after_the_search_keeps_its_status(
    uri: str, mine: MlflowTracker, gone: RunProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = left_by(gone, mine)
    search = mine.client.search_runs

    def searched_just_before_the_end(*arguments: object, **options: object) -> object:
        found = search(*arguments, **options)  # type: ignore[arg-type]  # handed on as they are
        mine.client.set_terminated(run_id, "FINISHED")
        return found

    monkeypatch.setattr(mine.client, "search_runs", searched_just_before_the_end)
    assert close_abandoned_runs(mine.client, uri, [mine.experiment_id]) == []
    run: Run = mine.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert "orchestrator.status_reason" not in run.data.tags


def test_runs_on_every_page_are_closed_once(
    uri: str, mine: MlflowTracker, gone: RunProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.mlflow.abandoned_runs.RUNS_PER_PAGE", 2)
    left = {left_by(gone, mine) for _ in range(5)}
    closed = close_abandoned_runs(mine.client, uri, [mine.experiment_id])
    assert sorted(closed) == sorted(left)
    assert close_abandoned_runs(mine.client, uri, [mine.experiment_id]) == []


@pytest.mark.parametrize("call", ["search_runs", "get_run", "set_tag", "set_terminated"])
def test_a_failure_to_close_runs_is_a_warning_and_the_new_run_opens(
    call: str,
    experiment: str,
    mine: MlflowTracker,
    gone: RunProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise MlflowException("the server is on fire")

    left_by(gone, mine)
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr(MlflowClient, call, refuse)
        opened = open_run(at(mine.uri), experiment, "the next", {})
        with pytest.raises(TrackingUnavailableError, match="the server is on fire"):
            close_abandoned_runs(mine.client, mine.uri, [mine.experiment_id])
    # the sender thread may have hit the broken call as well, and logs that
    said = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if "could not be closed" in record.getMessage()
    ]
    assert [level for level, _ in said] == ["WARNING"]
    assert "the server is on fire" in said[0][1]
    assert status(mine, opened.run_id) == "RUNNING"


def test_without_process_information_runs_open_without_tags_and_none_is_closed(
    uri: str,
    experiment: str,
    mine: MlflowTracker,
    gone: RunProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = left_by(gone, mine)
    for module in ("starting", "abandoned_runs"):
        monkeypatch.setattr(f"orchestrator.tracking.mlflow.{module}.this_process", lambda: None)
    opened = open_run(at(uri), experiment, "the next", {})
    assert "orchestrator.host" not in mine.client.get_run(opened.run_id).data.tags
    assert status(mine, run_id) == "RUNNING"
