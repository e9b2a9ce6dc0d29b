"""A run in MLflow while its store hangs, fails in part, or is interrupted."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import StorageUnavailableError
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.runs import Store
from orchestrator.tracking.mlflow.tracker import PATIENCE_SECONDS as RUNS_PATIENCE
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox.left_behind import deliver_left_behind
from tests.unit.tracking.mlflow.stores import ended, failing, history, status
from tests.waiting import HANGING_SECONDS, PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def tracker(store: Store, tmp_path: Path) -> Iterator[MlflowTracker]:
    made = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "an experiment", "a run", {}
    )
    yield made
    made.close(RunStatus.FINISHED)


@pytest.mark.parametrize("is_repaired", [True, False], ids=["repaired", "left to the next command"])
def test_undeliverable_files_do_not_block_numbers(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_repaired: bool,
) -> None:
    tracker = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "an experiment", "a run", {}
    )
    file = tmp_path / "result.txt"
    file.write_text("kept")
    with monkeypatch.context() as broken:
        failing(broken, "log_artifact", *[ModuleNotFoundError("No module named 'boto3'")] * 1000)
        tracker.log_metrics({"loss": 0.1}, 1)
        for folder in ("first", "second"):
            tracker.log_file(file, folder)
        tracker.log_metrics({"loss": 0.2}, 2)
        wait_until(lambda: len(history(store, tracker.run_id)) == 2)
        child = tracker.open_child("trial 0", {})
        assert store.client.get_run(child.run_id).info.status == "RUNNING"
        child.close(RunStatus.FINISHED)
        if not is_repaired:
            tracker.close(RunStatus.FINISHED)
    tracker.close(RunStatus.FINISHED)
    assert status(store, tracker.run_id) == "FINISHED"
    if not is_repaired:
        assert "2 tracked entries wait" in caplog.text
        (left,) = deliver_left_behind(tmp_path / "spool", MlflowDelivery)
        assert (left.num_sent, left.error) == (2, None)
    assert {item.path for item in store.client.list_artifacts(tracker.run_id)} == {
        "first",
        "second",
    }
    assert history(store, tracker.run_id) == [(1, 0.1), (2, 0.2)]
    assert list((tmp_path / "spool").iterdir()) == []
    assert caplog.text.count("boto3") == 1


def test_a_child_opens_promptly_while_the_store_hangs_and_is_created_once(
    tracker: MlflowTracker,
    store: Store,
    hang: Callable[[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = "orchestrator.tracking.mlflow.session.OPENING_SECONDS"
    monkeypatch.setattr(opening, 0.3)
    assert tracker.flush(PATIENCE_SECONDS)
    answers = hang("create_run")
    began = time.monotonic()
    child = tracker.open_child("trial 0", {})
    child.log_metrics({"loss": 0.1}, 1)
    monkeypatch.setattr(opening, HANGING_SECONDS)
    tracker.open_child("trial 1", {}).close(RunStatus.FINISHED)
    assert time.monotonic() - began < HANGING_SECONDS / 2, "waited for a store that hangs"
    answers.set()
    child.close(RunStatus.FINISHED)
    assert tracker.flush(PATIENCE_SECONDS)
    children = store.client.search_runs(
        [store.experiment_id], f"tags.`{names.PARENT_RUN_TAG}` = '{tracker.run_id}'"
    )
    (found,) = (run for run in children if run.info.run_name == "trial 0")
    assert len(children) == 2
    assert found.data.tags[names.SPOOL_ID_TAG] == child.run_id
    assert (history(store, found.info.run_id), found.info.status) == ([(1, 0.1)], "FINISHED")


def test_a_child_has_mlflows_id(tracker: MlflowTracker, store: Store) -> None:
    child = tracker.open_child("trial 0", {})
    assert store.client.get_run(child.run_id).data.tags[names.PARENT_RUN_TAG] == tracker.run_id
    child.close(RunStatus.FINISHED)
    tracker.log_metrics({"loss": 0.1}, 1)
    assert tracker.flush(PATIENCE_SECONDS)
    assert tracker._session.delivery.open_runs == {tracker.run_id}


def test_ctrl_c_at_the_end_of_a_run_ends_it_at_once_and_keeps_waiting_entries(
    store: Store, tmp_path: Path, hang: Callable[[str], threading.Event]
) -> None:
    tracker = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "an experiment", "a run", {}
    )
    hang("log_batch")
    tracker.log_metrics({"loss": 0.1}, 1)
    # a shell's background job ignores Ctrl-C, and the tests would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def press_when_it_waits() -> None:
        wait_until(lambda: tracker._session.outbox._pace.is_hurried)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_when_it_waits).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tracker.close(RunStatus.FINISHED)
    assert time.monotonic() - began < RUNS_PATIENCE[RunStatus.FINISHED] / 2
    (journal,) = (tmp_path / "spool").glob("*/journal.jsonl")
    assert len(journal.read_text().splitlines()) == 2


def test_a_request_that_hangs_at_the_end_is_left_to_the_next_command_without_duplicates(
    store: Store,
    tmp_path: Path,
    hang: Callable[[str], threading.Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "an experiment", "a run", {}
    )
    answers = hang("log_batch")
    tracker.log_metrics({"loss": 0.1}, 1)
    tracker._session.outbox.put(ended(tracker.run_id))
    tracker._session.outbox.close(0.2)
    assert "2 tracked entries wait" in caplog.text
    answers.set()
    wait_until(lambda: history(store, tracker.run_id) == [(1, 0.1)])
    (left,) = deliver_left_behind(tmp_path / "spool", MlflowDelivery)
    assert (left.num_sent, left.error) == (2, None)
    assert (history(store, tracker.run_id), status(store, tracker.run_id)) == (
        [(1, 0.1)],
        "FINISHED",
    )
    assert list((tmp_path / "spool").iterdir()) == []
    assert "cannot be written" not in caplog.text


def test_a_run_whose_spool_cannot_be_created_is_closed_as_failed(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(StorageUnavailableError, match="spool"):
        open_run(
            TrackingConfig(uri=store.uri, spool=tmp_path / "a file" / "spool"),
            "no spool",
            "a run",
            {},
        )
    experiment = store.client.get_experiment_by_name("no spool")
    assert experiment is not None
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert "cannot be written" in run.data.tags[names.STATUS_REASON_TAG]
