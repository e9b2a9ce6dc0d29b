"""Spooled entries of ended sessions reach MLflow; an error in one is reported and stops no
others.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking import names, open_run
from orchestrator.tracking.mlflow.delivery import MlflowDelivery
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox.entries import Points
from orchestrator.tracking.outbox.left_behind import deliver_left_behind
from orchestrator.tracking.outbox.spool import Destination, Spool
from orchestrator.tracking.preflight import check_reachable


@pytest.fixture
def mine(uri: str, tmp_path: Path) -> MlflowTracker:
    """Return an open run of this living process."""
    tracking = TrackingConfig(uri=uri, spool=tmp_path / "my spool")
    return open_run(tracking, "left behind", "mine", {})


def left_in_spool(mine: MlflowTracker, spool_dir: Path, uri: str, *steps: int) -> Path:
    """Leave the spool folder of a killed process."""
    spool = Spool.begin(spool_dir, mine.run_id, Destination(uri, "left behind"))
    for step in steps:
        spool.append(Points(run=mine.run_id, time_ms=1, values=[("loss", step / 10, step)]))
    spool._lock.release()
    return spool.folder


def test_a_corrupt_session_prevents_no_new_run_and_is_reported_with_the_remedy(
    uri: str, mine: MlflowTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = (left_in_spool(mine, tmp_path / "spool", uri, step) for step in (1, 2))
    with (broken / "journal.jsonl").open("ab") as journal:
        journal.write(b"gibberish\n")
    open_run(TrackingConfig(uri=uri, spool=tmp_path / "spool"), "left behind", "the next", {})
    assert "is not an entry" in caplog.text
    assert f"delete {broken} to discard the entries" in caplog.text
    assert (broken.exists(), whole.exists()) == (True, False)
    assert [point.step for point in mine.client.get_metric_history(mine.run_id, "loss")] == [2]


def test_an_unreachable_store_is_contacted_once_whatever_waits_for_it(
    mine: MlflowTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(3):
        left_in_spool(mine, tmp_path / "spool", f"sqlite:///{tmp_path}/a file/mlflow.db", step)
    (tmp_path / "a file").touch()
    asked: list[str] = []
    monkeypatch.setattr("orchestrator.tracking.mlflow.delivery.check_reachable", _noting(asked))
    found = deliver_left_behind(tmp_path / "spool", MlflowDelivery)
    assert (len(found), {type(left.error) for left in found}, len(asked)) == (
        3,
        {TrackingUnavailableError},
        1,
    )


def _noting(asked: list[str]) -> Callable[[str], None]:
    def note(uri: str) -> None:
        asked.append(uri)
        check_reachable(uri)

    return note


def test_a_deleted_database_refuses_its_waiting_entries_once(
    mine: MlflowTracker, tmp_path: Path
) -> None:
    folder = left_in_spool(mine, tmp_path / "spool", f"sqlite:///{tmp_path}/new.db", 1, 2)
    (left,) = deliver_left_behind(tmp_path / "spool", MlflowDelivery)
    assert (left.num_sent, left.num_refused, left.error) == (0, 2, None)
    assert "not found" in (folder / "refused.jsonl").read_text()
    assert deliver_left_behind(tmp_path / "spool", MlflowDelivery) == []


def test_a_session_left_by_version_0_1_is_delivered(tmp_path: Path) -> None:
    folder, uri = tmp_path / "spool" / "a_run-1", f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copytree(Path(__file__).parents[3] / "data" / "spool_0_1", folder)
    folder.with_suffix(".lock").touch()
    (folder / "delivered.json").unlink()  # it names a run of another store
    for file in ("destination.json", "journal.jsonl"):
        text = (folder / file).read_text(encoding="utf-8")
        text = text.replace("STORE", str(tmp_path)).replace("SPOOL", str(folder))
        (folder / file).write_text(text, encoding="utf-8")
    (left,) = deliver_left_behind(tmp_path / "spool", MlflowDelivery)
    assert (left.num_sent, left.num_refused, left.error) == (9, 1, None)
    assert '"kind": "model"' in (folder / "refused.jsonl").read_text(), "its package is not kept"

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("the run", "KILLED")
    assert (run.info.start_time, run.info.end_time) == (1764000000000, 1764000001000)
    assert run.data.params == {"seed": "7"}
    assert {
        "note": "two\nlines ✓",
        names.SEED_TAG: "7",
        names.STATUS_REASON_TAG: "interrupted",
        names.SPOOL_ID_TAG: "0123456789abcdef0123456789abcdef",
    }.items() <= run.data.tags.items()
    (accuracy,) = client.get_metric_history(run.info.run_id, "teacher/accuracy")
    assert (accuracy.step, accuracy.value, accuracy.timestamp) == (1, 0.1 + 0.2, 1764000000500)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == [2, 3, 4]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["summary.json"]
    assert run.inputs is not None
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["digits-train"]
    assert "mlflow.sharedViewState.a-view" in experiment.tags
