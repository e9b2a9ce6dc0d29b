"""Delivery of entries to MLflow: none is lost and none arrives twice, whatever happens."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, UNAUTHENTICATED

from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.runs import Store, create_run
from orchestrator.tracking.outbox.entries import Entry, Points, Resume, Tags
from orchestrator.tracking.outbox.outbox import Outbox
from orchestrator.tracking.outbox.spool import Destination, Spool
from tests.unit.tracking.mlflow.stores import ended, failing, history, points, status
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def outbox(store: Store, run: str, tmp_path: Path) -> Iterator[Outbox]:
    destination = Destination(store.uri, "an experiment")
    made = Outbox(Spool.begin(tmp_path, run, destination), MlflowDelivery(destination, {}, store))
    yield made
    made.close(PATIENCE_SECONDS)


@pytest.mark.parametrize("also_acts", [False, True], ids=["not arrived", "answer lost"])
def test_a_resent_entry_is_stored_once(
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
        MlflowException("refused", UNAUTHENTICATED),  # credentials may be repaired during the run
        MlflowException(
            "API request to endpoint /x failed with error code 400 != 200. Response body: '<html>'",
            BAD_REQUEST,
        ),
        KeyError("nobody has thought of this"),
    ],
    ids=["credentials", "proxy", "unknown"],
)
def test_a_temporary_failure_is_retried(
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


def test_a_permanently_refused_entry_is_kept_with_the_reason_and_blocks_no_others(
    store: Store,
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    destination = Destination(store.uri, "an experiment")
    outbox = Outbox(Spool.begin(tmp_path, run, destination), MlflowDelivery(destination, {}, store))
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
    assert f"refused 2 entries; they and the reasons are in {refused.parent}" in caplog.text


def test_no_failure_of_a_heartbeat_ends_the_thread(
    outbox: Outbox, store: Store, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "set_tag", *[KeyError("nobody has thought of this")] * 3)
    outbox.put(points(run, 1))
    wait_until(lambda: names.HEARTBEAT_TAG in store.client.get_run(run).data.tags)
    outbox.put(points(run, 2))
    wait_until(lambda: history(store, run) == [(1, 0.1), (2, 0.2)])


def test_a_deleted_run_does_not_prevent_heartbeats_of_others(store: Store, run: str) -> None:
    delivery = MlflowDelivery(Destination(store.uri, "an experiment"), {}, store)
    other = create_run(store.client, store.experiment_id, {})
    deleted, alive = sorted((run, other))  # heartbeats are sent in this order
    delivery.send([points(deleted, 1)])
    delivery.send([points(alive, 1)])
    store.client.delete_run(deleted)
    delivery.beat()
    assert names.HEARTBEAT_TAG in store.client.get_run(alive).data.tags


def test_a_point_after_the_end_does_not_reopen_the_run(store: Store, run: str) -> None:
    delivery = MlflowDelivery(Destination(store.uri, "an experiment"), {}, store)
    delivery.send([points(run, 1), ended(run)])
    delivery.send([points(run, 2)])
    delivery.beat()
    assert (history(store, run), status(store, run)) == ([(1, 0.1), (2, 0.2)], "FINISHED")
    delivery.send([Resume(run=run, tags={}), points(run, 3)])
    delivery.beat()
    assert status(store, run) == "RUNNING"


def test_points_already_stored_are_not_resent_when_a_window_with_an_end_is_repeated(
    store: Store, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = MlflowDelivery(Destination(store.uri, "an experiment"), {}, store)
    another = create_run(store.client, store.experiment_id, {})
    delivery.send([points(run, 1, 2)])
    delivery.send([Resume(run=run, tags={})])
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
