"""One suite for every tracker; MLflow is the real one, on a SQLite file that the module shares."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import output_files
from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import UserInputError
from orchestrator.tracking import InMemoryTracker, NullTracker, RunStatus, Tracker, names, open_run
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.uris import artifact_root

EXPERIMENT = "contract"


def at(uri: str) -> TrackingConfig:
    """Return the store, with a spool next to its database."""
    return TrackingConfig(uri=uri, spool=Path(uri.removeprefix("sqlite:///")).parent / "spool")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking store')}/mlflow.db"


@pytest.fixture
def mlflow_tracker(uri: str) -> MlflowTracker:
    return open_run(at(uri), EXPERIMENT, "a run", {names.SEED_TAG: "7"})


@pytest.fixture(params=["null", "in_memory", "mlflow"])
def tracker(request: pytest.FixtureRequest) -> Iterator[Tracker]:
    made: Tracker
    match request.param:
        case "null":
            made = NullTracker()
        case "in_memory":
            made = InMemoryTracker()
        case _:
            made = request.getfixturevalue("mlflow_tracker")
    yield made
    made.close(RunStatus.FINISHED)


@pytest.fixture(params=["in_memory", "mlflow"])
def keeper(request: pytest.FixtureRequest) -> InMemoryTracker | MlflowTracker:
    """Return a tracker whose log can be read back."""
    kept: InMemoryTracker | MlflowTracker
    kept = (
        InMemoryTracker()
        if request.param == "in_memory"
        else request.getfixturevalue("mlflow_tracker")
    )
    return kept


def history(keeper: InMemoryTracker | MlflowTracker, name: str) -> list[tuple[int, float]]:
    if isinstance(keeper, InMemoryTracker):
        return keeper.history(name)
    assert keeper.flush()
    return [
        (point.step, point.value) for point in keeper.client.get_metric_history(keeper.run_id, name)
    ]


def tags(keeper: InMemoryTracker | MlflowTracker) -> dict[str, str]:
    if isinstance(keeper, InMemoryTracker):
        return keeper.tags
    assert keeper.flush()
    return dict(keeper.client.get_run(keeper.run_id).data.tags)


def parameters(keeper: InMemoryTracker | MlflowTracker) -> dict[str, str]:
    if isinstance(keeper, InMemoryTracker):
        return keeper.parameters
    assert keeper.flush()
    return dict(keeper.client.get_run(keeper.run_id).data.params)


def test_a_run_id_is_32_hexadecimal_digits_and_unique(tracker: Tracker) -> None:
    assert len(tracker.run_id) == 32
    assert int(tracker.run_id, 16)
    assert tracker.run_id != NullTracker().run_id


def test_logging_after_close_is_an_error(tracker: Tracker, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("a")
    tracker.close(RunStatus.FAILED, "out of luck")
    with pytest.raises(RuntimeError, match=f"run {tracker.run_id} is closed \\(FAILED\\)"):
        tracker.log_metrics({"teacher/accuracy": 1.0}, step=1)
    with pytest.raises(RuntimeError):
        tracker.log_parameters({"seed": "0"})
    with pytest.raises(RuntimeError):
        tracker.set_tags({"a": "b"})
    with pytest.raises(RuntimeError):
        tracker.log_file(file)


def test_logging_nothing_is_no_error(tracker: Tracker) -> None:
    tracker.log_parameters({})
    tracker.log_metrics({}, step=1)
    tracker.set_tags({})


def test_metrics_keep_their_names_steps_and_order(keeper: InMemoryTracker | MlflowTracker) -> None:
    for step, value in ((1, 1.0), (2, 0.5), (3, 0.75)):
        keeper.log_metrics({"teacher/accuracy": value, "student_accuracy/task_00": value / 2}, step)
    assert history(keeper, "teacher/accuracy") == [(1, 1.0), (2, 0.5), (3, 0.75)]
    assert history(keeper, "student_accuracy/task_00") == [(1, 0.5), (2, 0.25), (3, 0.375)]


def test_every_metric_name_of_the_contract_is_accepted(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    keeper.log_metrics(dict.fromkeys(names.all_metrics(12), 0.5), step=1)
    assert history(keeper, names.task_forgetting("student", 11)) == [(1, 0.5)]


def test_parameters_and_tags_are_kept_and_a_tag_may_change(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    keeper.log_parameters(
        {"teacher.training.epochs": "30", "student.transfer.ratios": "[[1.0, 0.9]]"}
    )
    keeper.set_tags({names.METHOD_TAG: "joint"})
    keeper.set_tags({names.METHOD_TAG: "dual_teacher"})
    assert parameters(keeper) == {
        "teacher.training.epochs": "30",
        "student.transfer.ratios": "[[1.0, 0.9]]",
    }
    assert tags(keeper)[names.METHOD_TAG] == "dual_teacher"


def test_a_file_is_stored_in_its_folder_under_its_own_name(
    keeper: InMemoryTracker | MlflowTracker, tmp_path: Path
) -> None:
    file = tmp_path / output_files.OVERVIEW_FILE
    file.write_bytes(b"picture")
    keeper.log_file(file, output_files.FIGURES_FOLDER)
    keeper.log_file(file)
    for artifact in ("figures/overview.png", "overview.png"):
        if isinstance(keeper, InMemoryTracker):
            assert keeper.files[artifact] == b"picture"
        else:
            assert keeper.flush()
            copy = keeper.client.download_artifacts(keeper.run_id, artifact, str(tmp_path))
            assert Path(copy).read_bytes() == b"picture"


@pytest.mark.parametrize("status", list(RunStatus))
def test_the_first_close_determines_status_and_reason(
    keeper: InMemoryTracker | MlflowTracker, status: RunStatus
) -> None:
    keeper.close(status, "the first reason")
    keeper.close(RunStatus.FINISHED, "another reason")
    if isinstance(keeper, InMemoryTracker):
        assert (keeper.status, keeper.reason) == (status, "the first reason")
    else:
        assert keeper.flush()
        run = keeper.client.get_run(keeper.run_id)
        assert run.info.status == status.value
        assert run.info.end_time >= run.info.start_time
        assert run.data.tags[names.STATUS_REASON_TAG] == "the first reason"


def test_a_child_is_a_separate_run(tracker: Tracker) -> None:
    first, second = (
        tracker.open_child(name, {names.TRIAL_TAG: name}) for name in ("trial 0", "trial 1")
    )
    assert len({tracker.run_id, first.run_id, second.run_id}) == 3
    first.log_metrics({names.TRIAL_OBJECTIVE: 0.5}, step=1)
    first.close(RunStatus.KILLED, "pruned after task 1")
    with pytest.raises(RuntimeError, match=f"run {first.run_id} is closed \\(KILLED\\)"):
        first.log_metrics({names.TRIAL_OBJECTIVE: 0.5}, step=2)
    second.log_metrics({names.TRIAL_OBJECTIVE: 0.5}, step=1)
    tracker.log_metrics({names.TRIAL_OBJECTIVE: 0.5}, step=1)


def test_a_child_has_no_children(tracker: Tracker) -> None:
    child = tracker.open_child("trial 0", {})
    again = tracker.open_child("trial 0", {}, run_id=child.run_id)
    for level_two in (child, again):
        with pytest.raises(
            RuntimeError, match=f"run {child.run_id} is a child of run {tracker.run_id}"
        ):
            level_two.open_child("trial 0 of trial 0", {})


def test_a_closed_run_opens_no_child(tracker: Tracker) -> None:
    tracker.close(RunStatus.FINISHED)
    with pytest.raises(RuntimeError, match=f"run {tracker.run_id} is closed"):
        tracker.open_child("trial 0", {})


def test_a_resumed_child_keeps_its_id_and_accepts_logs(tracker: Tracker) -> None:
    child = tracker.open_child("trial 0", {})
    child.close(RunStatus.FAILED, "out of memory")
    again = tracker.open_child("trial 0", {}, run_id=child.run_id)
    assert again.run_id == child.run_id
    again.log_metrics({names.TRIAL_OBJECTIVE: 0.5}, step=1)
    again.close(RunStatus.FINISHED)


def test_a_child_names_its_parent_its_sweep_and_itself(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    child = keeper.open_child("trial 3", {names.TRIAL_TAG: "3"})
    assert {
        "mlflow.parentRunId": keeper.run_id,
        "orchestrator.sweep": keeper.run_id,
        "orchestrator.trial": "3",
        "mlflow.runName": "trial 3",
    }.items() <= tags(child).items()


def test_the_log_of_a_child_is_not_part_of_its_parents(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    child = keeper.open_child("trial 0", {names.TRIAL_TAG: "0"})
    child.log_parameters({"seed": "1"})
    child.log_metrics({names.TRIAL_OBJECTIVE: 0.5}, step=1)
    assert parameters(child) == {"seed": "1"}
    assert history(child, names.TRIAL_OBJECTIVE) == [(1, 0.5)]
    assert parameters(keeper) == {}
    assert history(keeper, names.TRIAL_OBJECTIVE) == []
    assert names.TRIAL_TAG not in tags(keeper)


def test_a_resumed_run_gets_only_missing_points(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    child = keeper.open_child("trial 0", {})
    child.log_metrics({"teacher/accuracy": 1.0, "student/accuracy": 0.9}, step=1)
    child.log_metrics({"teacher/accuracy": 0.8}, step=2)
    child.close(RunStatus.FAILED)
    again = keeper.open_child("trial 0", {}, run_id=child.run_id)
    for step in (1, 2, 3, 3):
        again.log_metrics({"teacher/accuracy": 0.1, "student/accuracy": 0.2}, step)
    assert history(again, "teacher/accuracy") == [(1, 1.0), (2, 0.8), (3, 0.1)]
    assert history(again, "student/accuracy") == [(1, 0.9), (2, 0.2), (3, 0.2)]


def test_a_parameter_of_a_resumed_run_keeps_its_value(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    long = "x" * 7000
    child = keeper.open_child("trial 0", {})
    child.log_parameters({"seed": "1", "student.transfer.ratios": long})
    assert isinstance(child, InMemoryTracker) or child.flush()
    again = keeper.open_child("trial 0", {}, run_id=child.run_id)
    again.log_parameters({"seed": "1", "student.transfer.ratios": long, "name": "digits"})
    with pytest.raises(
        UserInputError, match=f"parameter seed = '2' was '1' when run {child.run_id} began"
    ):
        again.log_parameters({"seed": "2", "store.uri": "elsewhere"})
    assert parameters(again).keys() == {"seed", "student.transfer.ratios", "name"}
    assert parameters(again)["seed"] == "1"


def test_resuming_may_rename_a_run_and_clears_its_end(
    keeper: InMemoryTracker | MlflowTracker,
) -> None:
    child = keeper.open_child("trial 0", {names.SEED_TAG: "7", names.METHOD_TAG: "joint"})
    child.close(RunStatus.FAILED, "out of memory")
    again = keeper.open_child(
        "trial 0 again", {names.METHOD_TAG: "dual_teacher"}, run_id=child.run_id
    )
    expected = {
        names.RUN_NAME_TAG: "trial 0 again",
        names.SEED_TAG: "7",
        names.METHOD_TAG: "dual_teacher",
    }
    assert expected.items() <= tags(again).items()
    if isinstance(again, InMemoryTracker):
        assert (again.run_name, again.status, again.reason) == ("trial 0 again", None, "")
    else:
        assert again.flush()
        run = again.client.get_run(again.run_id)
        assert (run.info.run_name, run.info.status) == ("trial 0 again", "RUNNING")
        assert names.STATUS_REASON_TAG not in run.data.tags
    again.close(RunStatus.FINISHED)
    assert isinstance(again, InMemoryTracker) or again.flush()
    assert (
        again.status
        if isinstance(again, InMemoryTracker)
        else again.client.get_run(again.run_id).info.status
    ) == "FINISHED"


def test_a_run_that_is_no_child_of_this_one_cannot_be_resumed_as_one(
    keeper: InMemoryTracker | MlflowTracker, uri: str
) -> None:
    of_another: Tracker = (
        InMemoryTracker()
        if isinstance(keeper, InMemoryTracker)
        else open_run(at(uri), EXPERIMENT, "another", {})
    )
    for run_id in (
        keeper.run_id,
        of_another.run_id,
        of_another.open_child("trial 0", {}).run_id,
        "f" * 32,
    ):
        with pytest.raises(UserInputError, match=f"{run_id}.*omit the run id"):
            keeper.open_child("trial 0", {}, run_id=run_id)


def test_children_in_memory_are_accessible_through_their_parent() -> None:
    sweep = InMemoryTracker("a sweep")
    opened = [sweep.open_child(f"trial {i}", {names.TRIAL_TAG: str(i)}) for i in range(3)]
    sweep.open_child("trial 1", {}, run_id=opened[1].run_id)
    assert sweep.children == opened
    assert [child.run_name for child in sweep.children] == ["trial 0", "trial 1", "trial 2"]
    assert [child.tags[names.TRIAL_TAG] for child in sweep.children] == ["0", "1", "2"]


def test_a_child_in_mlflow_is_in_its_parents_experiment_and_records_its_origin(
    mlflow_tracker: MlflowTracker,
) -> None:
    child = mlflow_tracker.open_child("trial 0", {names.SEED_TAG: "8"})
    run, parent = (tracker.client.get_run(tracker.run_id) for tracker in (child, mlflow_tracker))
    assert (run.info.experiment_id, run.info.status, run.info.run_name) == (
        parent.info.experiment_id,
        "RUNNING",
        "trial 0",
    )
    own = {
        names.RUN_NAME_TAG,
        names.SEED_TAG,
        names.PARENT_RUN_TAG,
        names.SWEEP_TAG,
        names.SPOOL_ID_TAG,
    }
    assert {key: value for key, value in run.data.tags.items() if key not in own} == {
        key: value for key, value in parent.data.tags.items() if key not in own
    }


def test_an_open_mlflow_run_is_running_and_records_its_origin(
    mlflow_tracker: MlflowTracker,
) -> None:
    assert mlflow_tracker.flush()
    run = mlflow_tracker.client.get_run(mlflow_tracker.run_id)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "a run"
    assert run.data.tags[names.SEED_TAG] == "7"
    assert run.data.tags["mlflow.user"]


def test_long_values_are_truncated_with_an_ellipsis(mlflow_tracker: MlflowTracker) -> None:
    mlflow_tracker.log_parameters({"exact": "x" * 6000, "long": "x" * 6001})
    mlflow_tracker.set_tags({"long": "x" * 9000})
    assert parameters(mlflow_tracker) == {"exact": "x" * 6000, "long": "x" * 5999 + "…"}
    assert tags(mlflow_tracker)["long"] == "x" * 7999 + "…"


def test_batches_over_mlflows_limits_arrive_completely(mlflow_tracker: MlflowTracker) -> None:
    many_parameters = {f"parameter_{i}": str(i) for i in range(250)}
    many_tags = {f"tag_{i}": str(i) for i in range(150)}
    many_metrics = {f"metric_{i}": float(i) for i in range(2300)}
    mlflow_tracker.log_parameters(many_parameters)
    mlflow_tracker.set_tags(many_tags)
    mlflow_tracker.log_metrics(many_metrics, step=4)
    assert mlflow_tracker.flush()
    data = mlflow_tracker.client.get_run(mlflow_tracker.run_id).data
    assert data.params == many_parameters
    assert many_tags.items() <= data.tags.items()
    assert data.metrics == many_metrics


def test_the_experiment_is_created_once_with_absolute_artifacts_and_its_primary_metric(
    uri: str,
) -> None:
    first, second = (open_run(at(uri), EXPERIMENT, name, {}) for name in ("first", "second"))
    assert first.experiment_id == second.experiment_id
    assert first.run_id != second.run_id
    experiment = first.client.get_experiment(first.experiment_id)
    root = artifact_root(uri)
    assert root is not None
    assert root.is_absolute()
    assert experiment.artifact_location == root.as_uri()
    assert experiment.tags == {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": "final/student_average_incremental_accuracy",
        "mlflow.experiment.primaryMetric.greaterIsBetter": "true",
    }


def test_a_deleted_experiment_is_reported_with_the_command_to_restore_it(uri: str) -> None:
    tracker = open_run(at(uri), "deleted", "a run", {})
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(
        UserInputError, match=f"restore --experiment-id {tracker.experiment_id}.*another name"
    ):
        open_run(at(uri), "deleted", "a run", {})


@pytest.mark.parametrize("name", ["", " ", "x" * 501])
def test_an_experiment_needs_a_name_mlflow_accepts(uri: str, name: str) -> None:
    with pytest.raises(UserInputError, match=r"tracking\.experiment"):
        open_run(at(uri), name, "a run", {})


def test_opening_a_run_prints_nothing_and_leaves_nothing_in_the_working_directory(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    open_run(at(uri), EXPERIMENT, "a run", {}).close(RunStatus.FINISHED)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_telemetry_is_off_and_requests_are_not_retried_by_mlflow(
    mlflow_tracker: MlflowTracker,
) -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert "_MLFLOW_SERVER_ARTIFACT_ROOT" not in os.environ


def test_a_request_that_mlflow_refuses_is_set_aside_with_its_reason_and_others_arrive(
    uri: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    tracker = open_run(TrackingConfig(uri=uri, spool=tmp_path), EXPERIMENT, "a run", {})
    tracker.log_parameters({"seed": "0"})
    tracker.log_parameters({"seed": "1"})
    tracker.log_metrics({"no: such ; name": 1.0}, step=1)
    tracker.log_metrics({"teacher/accuracy": 1.0}, step=1)
    tracker.close(RunStatus.FINISHED)
    (folder,) = tmp_path.iterdir()
    refused = [json.loads(line) for line in (folder / "refused.jsonl").read_text().splitlines()]
    assert [one["entry"]["kind"] for one in refused] == ["parameters", "points"]
    assert "no: such ; name" in refused[1]["reason"]
    assert "refused 2 entries" in caplog.text
    assert history(tracker, "teacher/accuracy") == [(1, 1.0)]
    assert (parameters(tracker), tracker.client.get_run(tracker.run_id).info.status) == (
        {"seed": "0"},
        "FINISHED",
    )
