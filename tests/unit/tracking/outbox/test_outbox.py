"""The sender thread: whatever the store does, nothing is lost, and logging never waits."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import TrackingUnavailableError, UserInputError
from orchestrator.tracking import names
from orchestrator.tracking.outbox.entries import File, Points, Tags
from orchestrator.tracking.outbox.left_behind import deliver_left_behind
from orchestrator.tracking.outbox.outbox import Outbox
from orchestrator.tracking.outbox.spool import Destination, Spool
from tests.memory_delivery import MemoryDelivery, MemoryStore
from tests.unit.tracking.outbox.full_disk import file_size_limit
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("quick")

DESTINATION = Destination("memory://here", "an experiment")


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    made = MemoryStore()
    yield made
    made.answers.set()


@pytest.fixture
def run(store: MemoryStore) -> str:
    return store.create_run({})


@pytest.fixture
def outbox(store: MemoryStore, run: str, tmp_path: Path) -> Outbox:
    return opened(store, run, tmp_path)


def opened(store: MemoryStore, run: str, spool_dir: Path) -> Outbox:
    return Outbox(Spool.begin(spool_dir, run, DESTINATION), MemoryDelivery(store, {}))


def points(run: str, *steps: int) -> Points:
    return Points(run=run, time_ms=1_000, values=[("loss", step / 10, step) for step in steps])


def values(*steps: int) -> list[tuple[int, float]]:
    return [(step, step / 10) for step in steps]


def test_logged_entries_arrive_in_order_and_leave_no_files(
    outbox: Outbox, store: MemoryStore, run: str, tmp_path: Path
) -> None:
    for step in range(1, 1200):
        outbox.put(points(run, step))
    assert outbox.flush(PATIENCE_SECONDS)
    assert store.history(run) == values(*range(1, 1200))
    outbox.close(PATIENCE_SECONDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("also_acts", [False, True], ids=["not arrived", "answer lost"])
@pytest.mark.parametrize(
    "error",
    [TrackingUnavailableError("away"), UserInputError("refused"), KeyError("nobody knows why")],
    ids=["away", "credentials", "unknown"],
)
def test_failed_entries_are_resent_and_stored_once(
    outbox: Outbox, store: MemoryStore, run: str, error: Exception, also_acts: bool
) -> None:
    store.failures, store.also_acts = [error] * 3, also_acts
    for step in range(1, 50):
        outbox.put(points(run, step))
    wait_until(lambda: store.history(run) == values(*range(1, 50)))
    wait_until(lambda: not outbox.is_failing)
    outbox.close(PATIENCE_SECONDS)


def test_logging_does_not_wait_for_a_store_that_hangs(
    outbox: Outbox, store: MemoryStore, run: str
) -> None:
    store.answers.clear()
    began = time.monotonic()
    for step in range(1, 200):
        outbox.put(points(run, step))
    assert (outbox.flush(0.1), outbox.is_failing) == (False, True)
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    store.answers.set()
    wait_until(lambda: not outbox.is_failing)
    outbox.close(PATIENCE_SECONDS)
    assert store.history(run) == values(*range(1, 200))


def test_entries_already_in_the_spool_are_sent_first(
    store: MemoryStore, run: str, tmp_path: Path
) -> None:
    spool = Spool.begin(tmp_path, run, DESTINATION)
    spool.append(points(run, 1))
    outbox = Outbox(spool, MemoryDelivery(store, {}))
    outbox.put(points(run, 2))
    outbox.close(PATIENCE_SECONDS)
    assert store.history(run) == values(1, 2)


def test_permanently_refused_entries_are_kept_with_the_reason(
    outbox: Outbox, store: MemoryStore, run: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for entry in (points(run, 1), points("f" * 32, 2), Tags(run="e" * 32, values={"a": "b"})):
        outbox.put(entry)
    outbox.put(points(run, 3))
    outbox.close(PATIENCE_SECONDS)
    assert store.history(run) == values(1, 3)
    (refused,) = tmp_path.glob("*/refused.jsonl")
    assert [line.count("not found") for line in refused.read_text().splitlines()] == [1, 1]
    assert f"refused 2 entries; they and the reasons are in {refused.parent}" in caplog.text


@pytest.mark.parametrize("is_repaired", [True, False], ids=["repaired", "left to the next command"])
def test_undeliverable_files_do_not_block_numbers(
    outbox: Outbox,
    store: MemoryStore,
    run: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    is_repaired: bool,
) -> None:
    store.takes_files = False
    outbox.put(points(run, 1))
    for name in ("first", "second"):
        (tmp_path / name).touch()
        copy = outbox.copied(tmp_path / name)
        outbox.put(File(run=run, path=copy, artifact_folder=""))
    outbox.put(points(run, 2))
    assert outbox.flush(5, numbers_only=True)
    assert store.history(run) == values(1, 2)
    assert not outbox.flush(0.5)
    store.takes_files = is_repaired
    outbox.close(0.5)
    if not is_repaired:
        assert "2 tracked entries wait" in caplog.text
        store.takes_files = True
        (left,) = deliver_left_behind(tmp_path, lambda _, ids: MemoryDelivery(store, ids))
        assert (left.num_sent, left.num_refused, left.error) == (2, 0, None)
    assert sorted(store.runs[run].files) == ["first", "second"]
    assert store.history(run) == values(1, 2)
    assert caplog.text.count("boto3") == 1


def test_a_file_waiting_for_an_unreachable_store_keeps_its_position(
    outbox: Outbox, store: MemoryStore, run: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_away = True
    (tmp_path / "result.txt").touch()
    outbox.put(File(run=run, path=outbox.copied(tmp_path / "result.txt"), artifact_folder=""))
    outbox.put(points(run, 1))
    assert not outbox.flush(0.2)
    assert "the store is away" in caplog.text
    assert "retried after all other entries" not in caplog.text
    store.is_away = False
    outbox.close(PATIENCE_SECONDS)
    assert (store.runs[run].files, store.history(run)) == (["result.txt"], values(1))


def test_a_waiting_file_keeps_its_content_at_logging(
    outbox: Outbox, run: str, tmp_path: Path
) -> None:
    file = tmp_path / "result.txt"
    file.write_text("before")
    copy = outbox.copied(file)
    file.write_text("after")
    assert copy.read_text() == "before"
    outbox.close(PATIENCE_SECONDS)


def test_heartbeats_are_sent_without_new_entries(
    outbox: Outbox, store: MemoryStore, run: str
) -> None:
    outbox.put(points(run, 1))
    assert outbox.flush(PATIENCE_SECONDS)
    wait_until(lambda: names.HEARTBEAT_TAG in store.runs[run].tags)
    # Another process has closed the run as dead: the next heartbeat reopens it.
    store.runs[run].status = "FAILED"
    wait_until(lambda: store.runs[run].status == "RUNNING")
    outbox.close(PATIENCE_SECONDS)


def test_a_failed_heartbeat_does_not_end_the_thread(
    outbox: Outbox, store: MemoryStore, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = threading.Event()

    def fail(delivery: MemoryDelivery) -> None:
        beaten.set()
        raise KeyError("nobody has thought of this")

    monkeypatch.setattr(MemoryDelivery, "beat", fail)
    assert beaten.wait(PATIENCE_SECONDS)
    outbox.put(points(run, 1))
    assert outbox.flush(PATIENCE_SECONDS)
    assert store.history(run) == values(1)
    outbox.close(PATIENCE_SECONDS)


def test_an_outage_and_its_end_are_each_reported_once(
    outbox: Outbox, store: MemoryStore, run: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_away = True
    for step in range(1, 4):
        outbox.put(points(run, step))
        assert not outbox.flush(0.2)
    store.is_away = False
    assert outbox.flush(PATIENCE_SECONDS)
    outbox.close(PATIENCE_SECONDS)
    assert caplog.text.count("the store is away; the numbers wait in") == 1
    assert caplog.text.count("answers again") == 1


def test_entries_unsent_at_the_end_are_left_to_the_next_command(
    outbox: Outbox, store: MemoryStore, run: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_away = True
    for step in (1, 2):
        outbox.put(points(run, step))
    outbox.close(0.2)
    assert "2 tracked entries wait" in caplog.text
    store.is_away = False
    (left,) = deliver_left_behind(tmp_path, lambda _, ids: MemoryDelivery(store, ids))
    assert (left.num_sent, left.num_refused, left.error) == (2, 0, None)
    assert store.history(run) == values(1, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_loses_nothing_while_the_store_answers(
    outbox: Outbox, store: MemoryStore, run: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "result.txt").write_text("kept" * 100)
    with file_size_limit(0):
        assert outbox.copied(tmp_path / "result.txt") == tmp_path / "result.txt"
        assert caplog.text.count("the spool cannot be written") == 1
        for step in range(1, 20):
            outbox.put(points(run, step))
        assert outbox.flush(PATIENCE_SECONDS)
    outbox.close(PATIENCE_SECONDS)
    assert store.history(run) == values(*range(1, 20))
    assert caplog.text.count("the spool cannot be written") == 1


def test_a_full_disk_with_an_unreachable_store_is_an_error_at_the_end(
    outbox: Outbox, store: MemoryStore, run: str
) -> None:
    store.is_away = True
    with file_size_limit(0):
        outbox.put(points(run, 1))
    outbox.put(points(run, 2))
    with pytest.raises(TrackingUnavailableError, match=r"1 tracked entries are lost.*run the same"):
        outbox.close(0.2)


def test_logging_after_the_outbox_is_closed_is_an_error(outbox: Outbox, run: str) -> None:
    outbox.close(PATIENCE_SECONDS)
    with pytest.raises(RuntimeError, match=f"Points of run {run}.* is closed"):
        outbox.put(points(run, 1))


def test_ctrl_c_ends_the_wait_at_once(outbox: Outbox, store: MemoryStore, run: str) -> None:
    store.answers.clear()
    outbox.put(points(run, 1))
    # a shell's background job ignores Ctrl-C, and the tests would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def press_when_it_waits() -> None:
        wait_until(lambda: outbox._pace.is_hurried)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_when_it_waits).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        outbox.close(PATIENCE_SECONDS)
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    store.answers.set()
    outbox.close(PATIENCE_SECONDS)
    assert store.history(run) == values(1)
