"""One suite for every tracker; MLflow is the real one, on a SQLite file that the module shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import UserInputError
from orchestrator.tracking import InMemoryTracker, NullTracker, RunStatus, Tracker, names, open_run
from orchestrator.tracking.mlflow_tracker import MlflowTracker
from orchestrator.tracking.uris import artifact_root

EXPERIMENT = "contract"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking store')}/mlflow.db"


@pytest.fixture
def mlflow_tracker(uri: str) -> MlflowTracker:
    return open_run(uri, EXPERIMENT, "a run", {names.SEED_TAG: "7"})


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
    """The trackers from which what was logged can be read again."""
    kept: InMemoryTracker | MlflowTracker
    kept = InMemoryTracker() if request.param == "in_memory" else request.getfixturevalue("mlflow_tracker")
    return kept


def history(keeper: InMemoryTracker | MlflowTracker, name: str) -> list[tuple[int, float]]:
    if isinstance(keeper, InMemoryTracker):
        return keeper.history(name)
    return [(point.step, point.value) for point in keeper.client.get_metric_history(keeper.run_id, name)]


def tags(keeper: InMemoryTracker | MlflowTracker) -> dict[str, str]:
    if isinstance(keeper, InMemoryTracker):
        return keeper.tags
    return dict(keeper.client.get_run(keeper.run_id).data.tags)


def parameters(keeper: InMemoryTracker | MlflowTracker) -> dict[str, str]:
    if isinstance(keeper, InMemoryTracker):
        return keeper.parameters
    return dict(keeper.client.get_run(keeper.run_id).data.params)


def test_a_run_id_is_32_hexadecimal_digits_and_its_own(tracker: Tracker) -> None:
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


def test_nothing_to_log_is_no_error(tracker: Tracker) -> None:
    tracker.log_parameters({})
    tracker.log_metrics({}, step=1)
    tracker.set_tags({})


def test_metrics_keep_their_names_steps_and_order(keeper: InMemoryTracker | MlflowTracker) -> None:
    for step, value in ((1, 1.0), (2, 0.5), (3, 0.75)):
        keeper.log_metrics({"teacher/accuracy": value, "student_accuracy/task_00": value / 2}, step)
    assert history(keeper, "teacher/accuracy") == [(1, 1.0), (2, 0.5), (3, 0.75)]
    assert history(keeper, "student_accuracy/task_00") == [(1, 0.5), (2, 0.25), (3, 0.375)]


def test_every_metric_name_of_the_contract_is_accepted(keeper: InMemoryTracker | MlflowTracker) -> None:
    keeper.log_metrics(dict.fromkeys(names.all_metrics(12), 0.5), step=1)
    assert history(keeper, names.task_forgetting("student", 11)) == [(1, 0.5)]


def test_parameters_and_tags_are_kept_and_a_tag_may_change(keeper: InMemoryTracker | MlflowTracker) -> None:
    keeper.log_parameters({"teacher.training.epochs": "30", "student.transfer.ratios": "[[1.0, 0.9]]"})
    keeper.set_tags({names.METHOD_TAG: "joint"})
    keeper.set_tags({names.METHOD_TAG: "dual_teacher"})
    assert parameters(keeper) == {"teacher.training.epochs": "30", "student.transfer.ratios": "[[1.0, 0.9]]"}
    assert tags(keeper)[names.METHOD_TAG] == "dual_teacher"


def test_a_file_is_kept_in_its_folder_under_its_own_name(keeper: InMemoryTracker | MlflowTracker, tmp_path: Path) -> None:
    file = tmp_path / names.OVERVIEW_FILE
    file.write_bytes(b"picture")
    keeper.log_file(file, names.FIGURES_FOLDER)
    keeper.log_file(file)
    for artifact in ("figures/overview.png", "overview.png"):
        if isinstance(keeper, InMemoryTracker):
            assert keeper.files[artifact] == b"picture"
        else:
            copy = keeper.client.download_artifacts(keeper.run_id, artifact, str(tmp_path))
            assert Path(copy).read_bytes() == b"picture"


@pytest.mark.parametrize("status", list(RunStatus))
def test_the_first_close_decides_status_and_reason(keeper: InMemoryTracker | MlflowTracker, status: RunStatus) -> None:
    keeper.close(status, "the first reason")
    keeper.close(RunStatus.FINISHED, "another reason")
    if isinstance(keeper, InMemoryTracker):
        assert (keeper.status, keeper.reason) == (status, "the first reason")
    else:
        run = keeper.client.get_run(keeper.run_id)
        assert run.info.status == status.value
        assert run.info.end_time >= run.info.start_time
        assert run.data.tags[names.STATUS_REASON_TAG] == "the first reason"


def test_an_open_mlflow_run_is_running_and_knows_its_origin(mlflow_tracker: MlflowTracker) -> None:
    run = mlflow_tracker.client.get_run(mlflow_tracker.run_id)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "a run"
    assert run.data.tags[names.SEED_TAG] == "7"
    assert run.data.tags["mlflow.user"]


def test_long_values_are_cut_with_an_ellipsis(mlflow_tracker: MlflowTracker) -> None:
    mlflow_tracker.log_parameters({"exact": "x" * 6000, "long": "x" * 6001})
    mlflow_tracker.set_tags({"long": "x" * 9000})
    assert parameters(mlflow_tracker) == {"exact": "x" * 6000, "long": "x" * 5999 + "…"}
    assert tags(mlflow_tracker)["long"] == "x" * 7999 + "…"


def test_batches_over_mlflows_limits_arrive_whole(mlflow_tracker: MlflowTracker) -> None:
    many_parameters = {f"parameter_{i}": str(i) for i in range(250)}
    many_tags = {f"tag_{i}": str(i) for i in range(150)}
    many_metrics = {f"metric_{i}": float(i) for i in range(2300)}
    mlflow_tracker.log_parameters(many_parameters)
    mlflow_tracker.set_tags(many_tags)
    mlflow_tracker.log_metrics(many_metrics, step=4)
    data = mlflow_tracker.client.get_run(mlflow_tracker.run_id).data
    assert data.params == many_parameters
    assert many_tags.items() <= data.tags.items()
    assert data.metrics == many_metrics


def test_the_experiment_is_made_once_with_absolute_artifacts_and_its_primary_metric(uri: str) -> None:
    first, second = (open_run(uri, EXPERIMENT, name, {}) for name in ("first", "second"))
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


def test_a_deleted_experiment_is_said_with_its_way_back(uri: str) -> None:
    tracker = open_run(uri, "deleted", "a run", {})
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(UserInputError, match=f"restore --experiment-id {tracker.experiment_id}.*another name"):
        open_run(uri, "deleted", "a run", {})


@pytest.mark.parametrize("name", ["", " ", "x" * 501])
def test_an_experiment_needs_a_name_mlflow_accepts(uri: str, name: str) -> None:
    with pytest.raises(UserInputError, match=r"tracking\.experiment"):
        open_run(uri, name, "a run", {})


def test_opening_a_run_is_silent_and_leaves_nothing_in_the_working_directory(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    open_run(uri, EXPERIMENT, "a run", {}).close(RunStatus.FINISHED)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_telemetry_is_off_and_the_quick_settings_of_the_preflight_are_gone(mlflow_tracker: MlflowTracker) -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    assert "_MLFLOW_SERVER_ARTIFACT_ROOT" not in os.environ


def test_a_request_that_mlflow_refuses_is_an_error_of_this_project(mlflow_tracker: MlflowTracker) -> None:
    mlflow_tracker.log_parameters({"seed": "0"})
    with pytest.raises(Exception, match="MLflow refuses the request") as refused:
        mlflow_tracker.log_parameters({"seed": "1"})
    assert refused.type.__name__ == "OrchestratorError"
