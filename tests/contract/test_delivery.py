"""One suite for every delivery: the in-memory double of the outbox's tests, and MLflow on
SQLite.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking import RunStatus, names
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.runs import Store, create_run, open_store
from orchestrator.tracking.outbox.delivery import Delivery
from orchestrator.tracking.outbox.entries import (
    Begin,
    End,
    Entry,
    File,
    Parameters,
    Points,
    Resume,
    Tags,
)
from orchestrator.tracking.outbox.spool import Destination
from tests.memory_delivery import MemoryDelivery, MemoryStore

EXPERIMENT = "deliveries"


@dataclass(frozen=True)
class Kept:
    """Contents of a run in a store."""

    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    status: str


@dataclass(frozen=True)
class Bench:
    """A store to send to, and access to its contents.

    Attributes:
        delivery: Makes the delivery of a session, given the store's ids of earlier runs.
        new_run: Creates a RUNNING run with these tags.
        run: Returns the contents of a run, by the store's id.
        history: Returns step and value of every point of `loss`, in order.
        runs_begun_as: Returns the store's ids of runs that were created under an id.
    """

    delivery: Callable[[Mapping[str, str]], Delivery]
    new_run: Callable[[Mapping[str, str]], str]
    run: Callable[[str], Kept]
    history: Callable[[str], list[tuple[int, float]]]
    runs_begun_as: Callable[[str], list[str]]


def bench_in_memory(store: MemoryStore) -> Bench:
    def run(run_id: str) -> Kept:
        found = store.runs[run_id]
        return Kept(found.tags, found.parameters, found.status)

    return Bench(
        delivery=lambda run_ids: MemoryDelivery(store, run_ids),
        new_run=store.create_run,
        run=run,
        history=store.history,
        runs_begun_as=lambda given: [
            run_id
            for run_id, found in store.runs.items()
            if found.tags.get(names.SPOOL_ID_TAG) == given
        ],
    )


def bench_in_mlflow(store: Store) -> Bench:
    def run(run_id: str) -> Kept:
        found = store.client.get_run(run_id)
        return Kept(found.data.tags, found.data.params, found.info.status)

    return Bench(
        delivery=lambda run_ids: MlflowDelivery(Destination(store.uri, EXPERIMENT), run_ids),
        new_run=lambda tags: create_run(store.client, store.experiment_id, tags),
        run=run,
        history=lambda run_id: [
            (point.step, point.value) for point in store.client.get_metric_history(run_id, "loss")
        ],
        runs_begun_as=lambda given: [
            found.info.run_id
            for found in store.client.search_runs(
                [store.experiment_id], f"tags.`{names.SPOOL_ID_TAG}` = '{given}'"
            )
        ],
    )


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db", EXPERIMENT)


@pytest.fixture(params=["in_memory", "mlflow"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "in_memory":
        return bench_in_memory(MemoryStore())
    return bench_in_mlflow(request.getfixturevalue("mlflow_store"))


@pytest.fixture
def delivery(bench: Bench) -> Delivery:
    return bench.delivery({})


def points(run: str, *steps: int, time_ms: int = 1_000) -> Points:
    return Points(run=run, time_ms=time_ms, values=[("loss", step / 10, step) for step in steps])


def ended(run: str, process: str = "") -> End:
    return End(
        run=run,
        process=process,
        status=RunStatus.KILLED,
        reason="interrupted",
        ended_ms=2_000_000_000_000,
    )


def test_entries_arrive_in_their_runs_and_in_order(bench: Bench, delivery: Delivery) -> None:
    first, second = bench.new_run({}), bench.new_run({})
    refused = delivery.send(
        [
            Parameters(run=first, values={"seed": "7"}),
            points(first, 1, 2),
            points(second, 1),
            Tags(run=first, values={"note": "early"}),
            points(first, 3),
            Tags(run=first, values={"note": "late"}),
            ended(first),
        ]
    )
    assert refused == []
    assert bench.history(first) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert bench.history(second) == [(1, 0.1)]
    kept = bench.run(first)
    assert (kept.parameters, kept.status) == ({"seed": "7"}, "KILLED")
    assert kept.tags["note"] == "late"
    assert kept.tags[names.STATUS_REASON_TAG] == "interrupted"
    assert bench.run(second).status == "RUNNING"


def test_resent_entries_are_stored_once_also_from_another_session(bench: Bench) -> None:
    given = uuid4().hex
    entries: list[Entry] = [
        Begin(run=given, tags={"mlflow.runName": "a run"}, started_ms=1_000),
        Parameters(run=given, values={"seed": "7"}),
        points(given, 1, 2),
        ended(given),
    ]
    first, second = bench.delivery({}), bench.delivery({})
    for delivery in (first, first, second):
        assert delivery.send(entries) == []
    (run_id,) = bench.runs_begun_as(given)
    assert bench.history(run_id) == [(1, 0.1), (2, 0.2)]
    assert bench.run(run_id).status == "KILLED"


def test_a_run_created_by_the_delivery_is_known_by_its_given_id(bench: Bench) -> None:
    parent, child = uuid4().hex, uuid4().hex
    first = bench.delivery({})
    first.send([Begin(run=parent, tags={}, started_ms=1_000)])
    tags = {names.PARENT_RUN_TAG: parent, names.SWEEP_TAG: parent, "note": parent}
    first.send([Begin(run=child, tags=tags, started_ms=1_000)])
    assert set(first.run_ids) == {parent, child}
    kept = bench.run(first.run_ids[child])
    assert kept.tags[names.PARENT_RUN_TAG] == first.run_ids[parent]
    assert kept.tags[names.SWEEP_TAG] == first.run_ids[parent]
    assert kept.tags["note"] == parent, "that is no name of a run"
    bench.delivery(first.run_ids).send([points(child, 1)])
    assert bench.history(first.run_ids[child]) == [(1, 0.1)]


def test_a_resumed_run_is_running_and_gets_only_missing_points(
    bench: Bench, delivery: Delivery
) -> None:
    run = bench.new_run({})
    delivery.send([points(run, 1, 2), ended(run)])
    again = bench.delivery({})
    again.send([Resume(run=run, tags={"note": "again"}), points(run, 1, 2, 3, time_ms=2_000)])
    assert bench.history(run) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert (bench.run(run).status, bench.run(run).tags["note"]) == ("RUNNING", "again")


def test_open_runs_have_heartbeats_and_a_late_point_reopens_none(
    bench: Bench, delivery: Delivery
) -> None:
    open_run, ended_run, of_nobody = (bench.new_run({}) for _ in range(3))
    delivery.send([points(open_run, 1), points(ended_run, 1), ended(ended_run)])
    delivery.send([points(ended_run, 2)])
    delivery.beat()
    assert names.HEARTBEAT_TAG in bench.run(open_run).tags
    assert names.HEARTBEAT_TAG not in bench.run(of_nobody).tags
    assert bench.run(ended_run).status == "KILLED"
    assert bench.history(ended_run) == [(1, 0.1), (2, 0.2)]


def test_an_earlier_process_cannot_end_a_run_that_another_has_resumed(
    bench: Bench, delivery: Delivery
) -> None:
    run = bench.new_run({names.PROCESS_STARTED_TAG: "boot:1:2"})
    assert delivery.send([points(run, 1), ended(run, process="boot:1:1")]) == []
    assert bench.run(run).status == "RUNNING"
    delivery.send([ended(run, process="boot:1:2")])
    assert bench.run(run).status == "KILLED"


def test_permanently_refused_entries_are_returned_with_reasons_and_block_no_others(
    bench: Bench, delivery: Delivery, tmp_path: Path
) -> None:
    run, unknown = bench.new_run({}), points("f" * 32, 1)
    gone = File(run=run, path=tmp_path / "gone.txt", artifact_folder="")
    refused = delivery.send([points(run, 1), unknown, gone, points(run, 2)])
    assert [one.entry for one in refused] == [unknown, gone]
    assert "not found" in refused[0].reason
    assert "gone" in refused[1].reason
    assert bench.history(run) == [(1, 0.1), (2, 0.2)]


@pytest.fixture(params=["in_memory", "mlflow"])
def absent(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Delivery, Callable[[], object]]:
    """Return the delivery to an unreachable store, and a function that makes the store
    reachable.
    """
    if request.param == "in_memory":
        store = MemoryStore()
        store.is_away = True
        return MemoryDelivery(store, {}), lambda: setattr(store, "is_away", False)
    folder = tmp_path / "not mounted"
    folder.touch()

    def mount() -> None:
        folder.unlink()
        folder.mkdir()

    return MlflowDelivery(Destination(f"sqlite:///{folder}/mlflow.db", EXPERIMENT), {}), mount


def test_delivery_to_an_unreachable_store_can_be_retried(
    absent: tuple[Delivery, Callable[[], object]],
) -> None:
    (delivery, bring_back), given = absent, uuid4().hex
    begin = Begin(run=given, tags={}, started_ms=1_000)
    with pytest.raises(TrackingUnavailableError):
        delivery.send([begin])
    assert (delivery.answers(), delivery.is_connected, dict(delivery.run_ids)) == (False, False, {})
    bring_back()
    assert delivery.send([begin]) == []
    assert (delivery.answers(), delivery.is_connected) == (True, True)
    assert set(delivery.run_ids) == {given}
