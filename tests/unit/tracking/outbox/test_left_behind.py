"""Sessions of ended processes are delivered, or report why not, independently of each other."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError, TrackingUnavailableError
from orchestrator.tracking.outbox.entries import Begin, Points
from orchestrator.tracking.outbox.left_behind import DeliveryTo, deliver_left_behind
from orchestrator.tracking.outbox.spool import Destination, Spool
from tests.memory_delivery import MemoryDelivery, MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def delivery_to(store: MemoryStore) -> DeliveryTo:
    return lambda _, run_ids: MemoryDelivery(store, run_ids)


def left(spool_dir: Path, run: str, *steps: int, uri: str = "memory://here") -> Path:
    """Leave the spool folder of a killed process."""
    spool = Spool.begin(spool_dir, run, Destination(uri, "an experiment"))
    spool.append(Begin(run=run, tags={}, started_ms=1))
    for step in steps:
        spool.append(Points(run=run, time_ms=1, values=[("loss", step / 10, step)]))
    spool._lock.release()
    return spool.folder


def test_every_entry_of_a_long_session_arrives_once(
    store: MemoryStore, delivery_to: DeliveryTo, tmp_path: Path
) -> None:
    left(tmp_path, "a" * 32, *range(1, 1200))
    (found,) = deliver_left_behind(tmp_path, delivery_to)
    assert (found.num_sent, found.num_refused, found.error) == (1200, 0, None)
    (run_id,) = store.runs
    assert store.history(run_id) == [(step, step / 10) for step in range(1, 1200)]
    assert deliver_left_behind(tmp_path, delivery_to) == []


def test_only_sessions_of_the_requested_store_are_sent(
    store: MemoryStore, delivery_to: DeliveryTo, tmp_path: Path
) -> None:
    here, there = (left(tmp_path, run * 32, 1, uri=f"memory://{run}") for run in "ab")
    found = deliver_left_behind(tmp_path, delivery_to, "memory://a")
    assert [one.folder for one in found] == [here]
    assert there.exists()


def test_waiting_entries_are_sent_with_the_senders_secret(
    store: MemoryStore, tmp_path: Path
) -> None:
    left(tmp_path, "a" * 32, 1, uri="memory://me:old@a")
    left(tmp_path, "b" * 32, 1, uri="memory://me:old@b")
    addresses: list[str] = []

    def noted(destination: Destination, run_ids: Mapping[str, str]) -> MemoryDelivery:
        addresses.append(destination.uri)
        return MemoryDelivery(store, run_ids)

    deliver_left_behind(tmp_path, noted, "memory://me:new@a", only_there=False)
    assert sorted(addresses) == ["memory://b", "memory://me:new@a"]


def test_entries_for_a_store_whose_place_is_hidden_wait_and_are_reported(
    delivery_to: DeliveryTo, tmp_path: Path
) -> None:
    folder = left(tmp_path, "a" * 32, 1, uri="memory://me:a/b@c@a")
    (found,) = deliver_left_behind(tmp_path, delivery_to)
    assert "give the address again" in str(found.error)
    assert folder.exists()


def test_an_interrupted_delivery_resumes_where_it_stopped(
    store: MemoryStore, delivery_to: DeliveryTo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.outbox.left_behind.WINDOW", 2)
    folder = left(tmp_path, "a" * 32, 1, 2, 3)
    sent: list[int] = []

    class Interrupted(MemoryDelivery):
        def send(self, entries):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the base class
            if sent:
                raise KeyError("nobody has thought of this")
            sent.append(len(entries))
            return super().send(entries)

    (first,) = deliver_left_behind(tmp_path, lambda _, run_ids: Interrupted(store, run_ids))
    assert (first.num_sent, type(first.error), first.is_store_away) == (2, OrchestratorError, False)
    assert folder.exists()
    (second,) = deliver_left_behind(tmp_path, delivery_to)
    assert (second.num_sent, second.error) == (2, None)
    (run_id,) = store.runs
    assert store.history(run_id) == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_an_unreachable_store_is_contacted_once_whatever_waits_for_it(
    store: MemoryStore, tmp_path: Path
) -> None:
    store.is_away = True
    for run in "abc":
        left(tmp_path, run * 32, 1)
    made: list[Destination] = []

    def counted(destination: Destination, run_ids: object) -> MemoryDelivery:
        made.append(destination)
        return MemoryDelivery(store, {})

    found = deliver_left_behind(tmp_path, counted)
    assert [type(one.error) for one in found] == [TrackingUnavailableError] * 3
    assert all(one.is_store_away for one in found)
    assert len(made) == 1
