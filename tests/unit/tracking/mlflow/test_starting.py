"""Resuming an MLflow run: by its id, with its contents, or with a clear error."""

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import UserInputError
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.mlflow.tracker import MlflowTracker

EXPERIMENT = "going on"


def at(uri: str) -> TrackingConfig:
    """Return the store, with a spool next to its database."""
    return TrackingConfig(uri=uri, spool=Path(uri.removeprefix("sqlite:///")).parent / "spool")


@pytest.fixture
def first(uri: str) -> MlflowTracker:
    """Return the run that is resumed."""
    return open_run(at(uri), EXPERIMENT, "a run", {names.SEED_TAG: "7"})


def history(tracker: MlflowTracker, name: str) -> list[tuple[int, float]]:
    assert tracker.flush()
    return [
        (point.step, point.value)
        for point in tracker.client.get_metric_history(tracker.run_id, name)
    ]


def test_an_mlflow_run_is_resumed_by_its_id(uri: str, first: MlflowTracker) -> None:
    first.log_parameters({"seed": "7"})
    first.log_metrics({"teacher/accuracy": 1.0}, step=1)
    first.close(RunStatus.KILLED, "told to end")
    again = open_run(at(uri), EXPERIMENT, "a run", {}, run_id=first.run_id)
    assert (again.run_id, again.experiment_id) == (first.run_id, first.experiment_id)
    assert again.flush()
    run = again.client.get_run(again.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.tags[names.SEED_TAG] == "7"
    assert names.STATUS_REASON_TAG not in run.data.tags
    again.log_parameters({"seed": "7"})
    again.log_metrics({"teacher/accuracy": 0.5, "student/accuracy": 0.5}, step=1)
    assert history(again, "teacher/accuracy") == [(1, 1.0)]
    assert history(again, "student/accuracy") == [(1, 0.5)]
    again.open_child("trial 0", {})


def test_an_mlflow_child_opened_by_its_id_alone_is_still_a_child(
    uri: str, first: MlflowTracker
) -> None:
    child = first.open_child("trial 0", {})
    alone = open_run(at(uri), EXPERIMENT, "trial 0", {}, run_id=child.run_id)
    with pytest.raises(RuntimeError, match=f"child of run {first.run_id}"):
        alone.open_child("trial 0 of trial 0", {})


def test_points_beyond_one_page_of_mlflows_history_are_known(
    uri: str, first: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 8):
        first.log_metrics({"teacher_training/loss": 1.0}, step)
    assert first.flush()
    monkeypatch.setattr(
        "mlflow.tracking._tracking_service.client.GET_METRIC_HISTORY_MAX_RESULTS", 3
    )
    again = open_run(at(uri), EXPERIMENT, "a run", {}, run_id=first.run_id)
    for step in range(1, 9):
        again.log_metrics({"teacher_training/loss": 2.0}, step)
    assert history(again, "teacher_training/loss") == [
        *((step, 1.0) for step in range(1, 8)),
        (8, 2.0),
    ]


def test_points_that_did_not_arrive_are_sent_again(
    uri: str,
    first: MlflowTracker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise MlflowException("the server is on fire")

    again = open_run(at(uri), EXPERIMENT, "a run", {}, run_id=first.run_id)
    with monkeypatch.context() as broken:
        broken.setattr(again.client, "log_batch", refuse)
        again.log_metrics({"teacher/accuracy": 0.5}, step=1)
        assert not again.flush(5)
    assert "on fire" in caplog.text
    again.log_metrics({"teacher/accuracy": 0.5}, step=1)
    assert history(again, "teacher/accuracy") == [(1, 0.5)]


def test_the_history_of_a_run_is_read_once(
    uri: str, first: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.log_metrics({"teacher/accuracy": 1.0, "student/accuracy": 1.0}, step=1)
    assert first.flush()
    again = open_run(at(uri), EXPERIMENT, "a run", {}, run_id=first.run_id)
    read: list[str] = []
    get_history = again.client.get_metric_history

    def get_and_count(run_id: str, name: str) -> object:
        read.append(name)
        return get_history(run_id, name)

    monkeypatch.setattr(again.client, "get_metric_history", get_and_count)
    for step in (1, 2, 3):
        again.log_metrics({"teacher/accuracy": 1.0}, step)
        again.log_parameters({"seed": "7"})
    assert again.flush()
    assert sorted(read) == ["student/accuracy", "teacher/accuracy"]


@pytest.mark.parametrize("run_id", ["f" * 32, "no run", ""])
def test_an_unknown_run_id_is_reported_and_creates_nothing(
    uri: str, first: MlflowTracker, run_id: str
) -> None:
    with pytest.raises(UserInputError, match=f"there is no run '{run_id}' to resume"):
        open_run(at(uri), "made for nobody", "a run", {}, run_id=run_id)
    assert first.client.get_experiment_by_name("made for nobody") is None


def test_a_deleted_run_is_reported_with_the_command_to_restore_it(
    uri: str, first: MlflowTracker
) -> None:
    child = first.open_child("trial 0", {})
    for run_id in (first.run_id, child.run_id):
        first.client.delete_run(run_id)
        with pytest.raises(
            UserInputError,
            match=f"run {run_id} is deleted; restore the run .mlflow runs restore --run-id",
        ):
            open_run(at(uri), EXPERIMENT, "a run", {}, run_id=run_id)
    with pytest.raises(UserInputError, match=f"run {child.run_id} is deleted"):
        first.open_child("trial 0", {}, run_id=child.run_id)


def test_a_run_of_another_experiment_is_reported_with_its_experiment(
    uri: str, first: MlflowTracker
) -> None:
    with pytest.raises(
        UserInputError,
        match=f"run {first.run_id} belongs to experiment 'going on', not to 'elsewhere'",
    ):
        open_run(at(uri), "elsewhere", "a run", {}, run_id=first.run_id)
    assert first.client.get_experiment_by_name("elsewhere") is None
