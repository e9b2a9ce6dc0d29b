"""The thread that sends: whatever the store or the network does, it goes on, loses nothing and
sends nothing twice.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, UNAUTHENTICATED

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import StorageUnavailableError, TrackingUnavailableError
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.entries import End, Entry, GoOn, Points, Tags
from orchestrator.tracking.mlflow.delivery import Delivery
from orchestrator.tracking.mlflow.reconciliation import deliver_left_behind
from orchestrator.tracking.mlflow.runs import Store, create_run, open_store
from orchestrator.tracking.mlflow.tracker import PATIENCE_SECONDS as RUNS_PATIENCE
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.opening import prepare_mlflow
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.spool import Destination, Spool
from tests.waiting import PATIENCE_SECONDS, wait_until

# nothing that is tested here waits so long: the tests let the store answer in the end
HANGING_SECONDS = 120.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    prepare_mlflow()
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db", "outbox")


@pytest.fixture
def run(store: Store) -> str:
    return create_run(store.client, store.experiment_id, {})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, sooner."""
    monkeypatch.setattr("orchestrator.tracking.outbox.GATHER_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.tracking.outbox.FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.tracking.outbox.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("orchestrator.tracking.outbox.JOIN_SECONDS", 0.3)


@pytest.fixture
def outbox(store: Store, run: str, tmp_path: Path) -> Iterator[Outbox]:
    destination = Destination(store.uri, "outbox")
    made = Outbox(Spool.begin(tmp_path, run, destination), Delivery(destination, {}, store))
    yield made
    made.close(PATIENCE_SECONDS)


@pytest.fixture
def tracker(store: Store, tmp_path: Path) -> Iterator[MlflowTracker]:
    made = open_run(TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "outbox", "a run", {})
    yield made
    made.close(RunStatus.FINISHED)


def points(run: str, *steps: int, value: float | None = None) -> Points:
    return Points(
        run=run,
        time_ms=1_000,
        values=[("loss", step / 10 if value is None else value, step) for step in steps],
    )


def history(store: Store, run: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run, "loss")]


def status(store: Store, run: str) -> str:
    return str(store.client.get_run(run).info.status)


def ended(run: str, status: RunStatus = RunStatus.FINISHED) -> End:
    return End(run=run, status=status, reason="", ended_ms=time.time_ns() // 1_000_000)


def failing(
    monkeypatch: pytest.MonkeyPatch, call: str, *errors: Exception, also_acts: bool = False
) -> None:
    """The first calls fail with these errors; those that also act have reached the store, and their
    answer is lost.
    """
    real, left = getattr(MlflowClient, call), list(errors)

    def fail_first(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they are
        if left and not also_acts:
            raise left.pop(0)
        answer = real(*arguments, **options)
        if left:
            raise left.pop(0)
        return answer

    monkeypatch.setattr(MlflowClient, call, fail_first)


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], threading.Event]]:
    """Lets calls hang from now on, as a server does that takes connections and never answers, until
    the event is set.
    """
    answers = threading.Event()

    def start(call: str) -> threading.Event:
        real = getattr(MlflowClient, call)

        def wait(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they are
            answers.wait(HANGING_SECONDS)
            return real(*arguments, **options)

        monkeypatch.setattr(MlflowClient, call, wait)
        return answers

    yield start
    answers.set()


@pytest.mark.parametrize("also_acts", [False, True], ids=["not arrived", "answer lost"])
def test_what_is_sent_again_is_there_once(
    outbox: Outbox, store: Store, run: str, monkeypatch: pytest.MonkeyPatch, also_acts: bool
) -> None:
    failing(
        monkeypatch,
        "log_batch",
        *[MlflowException("the server is on fire")] * 2,
        also_acts=also_acts,
    )
    for step in range(1, 50):
        outbox.put(points(run, step))
    outbox.put(points(run, 50, value=math.nan))
    outbox.put(points(run, 51, value=math.inf))
    assert outbox.flush(PATIENCE_SECONDS) or outbox.flush(PATIENCE_SECONDS)
    found = history(store, run)
    assert found[:49] == [(step, step / 10) for step in range(1, 50)]
    assert [step for step, _ in found] == list(range(1, 52))
    assert math.isnan(found[49][1])
    assert found[50][1] > 1e308


@pytest.mark.parametrize(
    "error",
    [
        MlflowException(
            "refused", UNAUTHENTICATED
        ),  # credentials may be repaired while the run goes on
        MlflowException(
            "API request to endpoint /x failed with error code 400 != 200. Response body: '<html>'",
            BAD_REQUEST,
        ),
        KeyError("nobody has thought of this"),
    ],
    ids=["credentials", "proxy", "unknown"],
)
def test_what_may_be_over_soon_is_waited_for(
    outbox: Outbox,
    store: Store,
    run: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
) -> None:
    failing(monkeypatch, "log_batch", error, error)
    outbox.put(points(run, 1))
    wait_until(lambda: history(store, run) == [(1, 0.1)])
    assert not list(tmp_path.glob("*/refused.jsonl"))


def test_what_the_store_never_takes_is_kept_with_the_reason_and_keeps_nothing_else(
    store: Store,
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    destination = Destination(store.uri, "outbox")
    outbox = Outbox(Spool.begin(tmp_path, run, destination), Delivery(destination, {}, store))
    real = MlflowClient.log_batch

    def picky(client: MlflowClient, run_id: str, metrics: Any = (), *others: Any) -> None:  # noqa: ANN401 - handed on as they are
        if any(metric.step == 2 for metric in metrics):
            raise OverflowError("int too large")
        real(client, run_id, metrics, *others)

    monkeypatch.setattr(MlflowClient, "log_batch", picky)
    for entry in (
        points(run, 1),
        points(run, 2),
        Points(run=run, time_ms=1, values=[("no name!", 0.0, 1)]),
        points(run, 3),
    ):
        outbox.put(entry)
    outbox.close(PATIENCE_SECONDS)
    assert history(store, run) == [(1, 0.1), (3, 0.3)]
    (refused,) = tmp_path.glob("*/refused.jsonl")
    first, second = refused.read_text().splitlines()
    assert "OverflowError: int too large" in first
    assert "no name!" in second
    assert f"refused 2 entries; which and why is in {refused.parent}" in caplog.text


@pytest.mark.parametrize("is_repaired", [True, False], ids=["repaired", "left to the next command"])
def test_files_for_which_there_is_no_place_keep_no_numbers_waiting(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_repaired: bool,
) -> None:
    tracker = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "outbox", "a run", {}
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
        (left,) = deliver_left_behind(tmp_path / "spool")
        assert (left.num_sent, left.error) == (2, None)
    assert {item.path for item in store.client.list_artifacts(tracker.run_id)} == {
        "first",
        "second",
    }
    assert history(store, tracker.run_id) == [(1, 0.1), (2, 0.2)]
    assert list((tmp_path / "spool").iterdir()) == []
    assert caplog.text.count("boto3") == 1


def test_a_heartbeat_that_fails_in_whatever_way_does_not_end_the_thread(
    outbox: Outbox, store: Store, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "set_tag", *[KeyError("nobody has thought of this")] * 3)
    outbox.put(points(run, 1))
    wait_until(lambda: names.HEARTBEAT_TAG in store.client.get_run(run).data.tags)
    outbox.put(points(run, 2))
    wait_until(lambda: history(store, run) == [(1, 0.1), (2, 0.2)])


def test_a_run_that_was_deleted_keeps_no_other_from_showing_that_it_lives(
    store: Store, run: str
) -> None:
    delivery = Delivery(Destination(store.uri, "outbox"), {}, store)
    delivery.send([points(run, 1)])
    deleted: list[str] = []
    while not deleted or deleted[-1] > run:  # one that comes before it
        deleted.append(create_run(store.client, store.experiment_id, {}))
        delivery.send([points(deleted[-1], 1)])
    for run_id in deleted:
        store.client.delete_run(run_id)
    delivery.beat()
    assert names.HEARTBEAT_TAG in store.client.get_run(run).data.tags


def test_a_number_that_comes_after_the_end_does_not_open_the_run_again(
    store: Store, run: str
) -> None:
    delivery = Delivery(Destination(store.uri, "outbox"), {}, store)
    delivery.send([points(run, 1), ended(run)])
    delivery.send([points(run, 2)])
    delivery.beat()
    assert (history(store, run), status(store, run)) == ([(1, 0.1), (2, 0.2)], "FINISHED")
    delivery.send([GoOn(run=run, tags={}), points(run, 3)])
    delivery.beat()
    assert status(store, run) == "RUNNING"


def test_points_that_a_run_had_are_not_sent_when_what_came_with_its_end_is_repeated(
    store: Store, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = Delivery(Destination(store.uri, "outbox"), {}, store)
    another = create_run(store.client, store.experiment_id, {})
    delivery.send([points(run, 1, 2)])
    delivery.send([GoOn(run=run, tags={})])
    again = Points(run=run, time_ms=2_000, values=[("loss", 0.1, 1), ("loss", 0.3, 3)])
    window: list[Entry] = [again, ended(run), Tags(run=another, values={"a": "b"})]
    real = MlflowClient.log_batch

    def fails_for_another(client: MlflowClient, run_id: str, *others: Any) -> None:  # noqa: ANN401 - handed on as they are
        if run_id == another:
            raise MlflowException("the server is on fire")
        real(client, run_id, *others)

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_batch", fails_for_another)
        with pytest.raises(TrackingUnavailableError, match="on fire"):
            delivery.send(window)
    delivery.send(window)
    assert history(store, run) == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_what_comes_after_the_outbox_is_closed_is_an_error(outbox: Outbox, run: str) -> None:
    outbox.close(PATIENCE_SECONDS)
    with pytest.raises(RuntimeError, match=f"Points of run {run}.* is closed"):
        outbox.put(points(run, 1))


def test_a_child_is_opened_soon_although_the_store_hangs_and_is_created_once(
    tracker: MlflowTracker,
    store: Store,
    hang: Callable[[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = "orchestrator.tracking.mlflow.tracker.OPENING_SECONDS"
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


def test_a_child_has_the_id_by_which_mlflow_knows_it(tracker: MlflowTracker, store: Store) -> None:
    child = tracker.open_child("trial 0", {})
    assert store.client.get_run(child.run_id).data.tags[names.PARENT_RUN_TAG] == tracker.run_id
    child.close(RunStatus.FINISHED)
    tracker.log_metrics({"loss": 0.1}, 1)
    assert tracker.flush(PATIENCE_SECONDS)
    assert tracker._delivery.open_runs == {tracker.run_id}


def test_ctrl_c_at_the_end_of_a_run_ends_it_at_once_and_keeps_what_waits(
    store: Store, tmp_path: Path, hang: Callable[[str], threading.Event]
) -> None:
    tracker = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "outbox", "a run", {}
    )
    hang("log_batch")
    tracker.log_metrics({"loss": 0.1}, 1)
    # where the tests themselves run in the background of a shell, Ctrl-C is ignored, and that is
    # inherited
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def press_when_it_waits() -> None:
        wait_until(lambda: tracker._outbox._is_hurried)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_when_it_waits).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tracker.close(RunStatus.FINISHED)
    assert time.monotonic() - began < RUNS_PATIENCE[RunStatus.FINISHED] / 2
    (journal,) = (tmp_path / "spool").glob("*/journal.jsonl")
    assert len(journal.read_text().splitlines()) == 2


def test_a_request_that_hangs_at_the_end_is_left_to_the_next_command_and_adds_nothing_later(
    store: Store,
    tmp_path: Path,
    hang: Callable[[str], threading.Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = open_run(
        TrackingConfig(uri=store.uri, spool=tmp_path / "spool"), "outbox", "a run", {}
    )
    answers = hang("log_batch")
    tracker.log_metrics({"loss": 0.1}, 1)
    tracker._outbox.put(ended(tracker.run_id))
    tracker._outbox.close(0.2)
    assert "2 tracked entries wait" in caplog.text
    answers.set()
    wait_until(lambda: history(store, tracker.run_id) == [(1, 0.1)])
    (left,) = deliver_left_behind(tmp_path / "spool")
    assert (left.num_sent, left.error) == (2, None)
    assert (history(store, tracker.run_id), status(store, tracker.run_id)) == (
        [(1, 0.1)],
        "FINISHED",
    )
    assert list((tmp_path / "spool").iterdir()) == []
    assert "cannot be written" not in caplog.text


def test_a_run_whose_spool_cannot_be_made_is_closed_as_failed(store: Store, tmp_path: Path) -> None:
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
