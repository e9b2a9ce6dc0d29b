"""One whole run on real digits, tracked in a real MLflow database: the command, Python,
interruption, failure.
"""

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from typer.testing import CliRunner

from orchestrator.cli.application import build_application
from orchestrator.config import Experiment, dump_experiment, flatten, load_experiment
from orchestrator.errors import UserInputError
from orchestrator.evaluation.confusion import from_csv
from orchestrator.pipelines.registration.register import register
from orchestrator.pipelines.run.run import RunResult, run
from orchestrator.tracking import InMemoryTracker, RunStatus, names
from tests.every_method import COMPARISON_METHODS, small
from tests.integration.processes import start_orchestrator
from tests.waiting import PATIENCE_SECONDS

Command = Callable[..., "subprocess.CompletedProcess[str]"]

# DESIGN.md: a rename is a visible change
SUMMARY_KEYS = {
    "run_id",
    "experiment",
    "seed",
    "dataset",
    "tasks",
    "teacher",
    "student",
    "stages",
    "suspicious_labels",
    "wall_seconds",
    "worker_seconds",
}
ROLE_KEYS = {
    "accuracy_matrix",
    "average_incremental_accuracy",
    "last_accuracy",
    "forgetting",
    "backward_transfer",
    "num_parameters",
}
NUM_TASKS = 3
VERSION_TAGS = {"role", "dataset", "num_classes", "last_accuracy", "orchestrator.delivery"}


class Finished(NamedTuple):
    """A run of the command in a separate process."""

    answer: "subprocess.CompletedProcess[str]"
    file: Path
    output: Path
    uri: str

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return summary


class Tracked:
    """Contents of one run in MLflow."""

    def __init__(self, uri: str, run_id: str | None = None) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(uri)
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        runs = self.client.search_runs(experiments)
        [self.run] = [found for found in runs if run_id in (None, found.info.run_id)]

    def history(self, metric: str) -> list[tuple[int, Any]]:
        return sorted(
            (point.step, point.value)
            for point in self.client.get_metric_history(self.run.info.run_id, metric)
        )

    def artifacts(self, folder: str = "") -> set[str]:
        found = self.client.list_artifacts(self.run.info.run_id, folder or None)
        return {
            path
            for item in found
            for path in (self.artifacts(item.path) if item.is_dir else {item.path})
        }


def matrices(summary: dict[str, Any]) -> list[Any]:
    return [
        summary[role][key]
        for role in ("teacher", "student")
        for key in ("accuracy_matrix", "validation_accuracy_matrix")
    ]


def kept_in(experiment: Experiment, folder: Path) -> Experiment:
    """Return the experiment with its own stage store and MLflow database."""
    own = {
        "store": {"uri": f"{folder}/store"},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "spool": f"{folder}/spool"},
    }
    return Experiment.model_validate({**experiment.model_dump(), **own})


@pytest.fixture(scope="module")
def finished(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("a run")
    experiment = kept_in(tiny_experiment, folder)
    file = folder / "tiny.yaml"
    file.write_text(dump_experiment(experiment), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "orchestrator",
        "run",
        str(file),
        "--output",
        str(folder / "output"),
        "--name",
        "a tiny run",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return Finished(answer, file, folder / "output", experiment.tracking.uri)


@pytest.fixture(scope="module")
def tracked(finished: Finished) -> Tracked:
    return Tracked(finished.uri, finished.summary["run_id"])


@pytest.fixture(scope="module")
def from_python(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(tiny_experiment, tmp_path_factory.mktemp("from python"), tracker=InMemoryTracker())


# --- files ----------------------------------------------------------------------------------------


def test_the_summary_has_the_keys_of_the_contract(finished: Finished) -> None:
    summary = finished.summary
    assert set(summary) >= SUMMARY_KEYS
    assert set(summary["dataset"]) == {"name", "fingerprint"}
    assert all(set(task) == {"index", "classes"} for task in summary["tasks"])
    assert all(set(stage) == {"name", "key", "cached", "seconds"} for stage in summary["stages"])
    for role in ("teacher", "student"):
        assert set(summary[role]) >= ROLE_KEYS


def test_the_summary_describes_the_run(finished: Finished) -> None:
    summary = finished.summary
    assert (summary["experiment"], summary["seed"], summary["dataset"]["name"]) == (
        "tiny",
        0,
        "digits",
    )
    assert summary["tasks"] == [
        {"index": i, "classes": [2 * i, 2 * i + 1]} for i in range(NUM_TASKS)
    ]
    assert [stage["name"] for stage in summary["stages"]] == [
        f"{role}[{i}]" for i in range(NUM_TASKS) for role in ("teacher", "student")
    ]
    assert not any(stage["cached"] for stage in summary["stages"])
    assert summary["wall_seconds"] >= summary["worker_seconds"] > 0
    assert summary["student"]["num_parameters"] < summary["teacher"]["num_parameters"]


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_the_summarys_metrics_follow_from_its_matrix(finished: Finished, role: str) -> None:
    found = finished.summary[role]
    matrix = found["accuracy_matrix"]
    assert [len(row) for row in matrix] == [1, 2, 3]
    assert all(0 <= accuracy <= 1 for row in matrix for accuracy in row)
    assert found["last_accuracy"] == pytest.approx(sum(matrix[2]) / 3)
    assert found["average_incremental_accuracy"] == pytest.approx(
        (matrix[0][0] + sum(matrix[1]) / 2 + sum(matrix[2]) / 3) / 3
    )
    lost = [max(matrix[0][0], matrix[1][0]) - matrix[2][0], matrix[1][1] - matrix[2][1]]
    assert found["forgetting"] == pytest.approx(sum(lost) / 2)
    assert found["backward_transfer"] == pytest.approx(
        (matrix[2][0] - matrix[0][0] + matrix[2][1] - matrix[1][1]) / 2
    )


def test_two_classes_are_learned_even_in_a_tiny_run(finished: Finished) -> None:
    # at least 0.99 if it works, 0.5 by chance
    assert finished.summary["teacher"]["accuracy_matrix"][0][0] > 0.75


def test_the_resolved_experiment_reads_back_equal(finished: Finished) -> None:
    assert load_experiment(finished.output / "experiment.yaml") == load_experiment(finished.file)


def test_the_output_folder_contains_nothing_but_its_files(finished: Finished) -> None:
    found = {
        str(path.relative_to(finished.output))
        for path in finished.output.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    models = {path for path in found if path.startswith("models/")}
    assert {"models/teacher/MLmodel", "models/student/MLmodel"} <= models
    drawn_where_labels_are_doubted = {"figures/suspicious_labels.png"}
    assert found - models - drawn_where_labels_are_doubted == {
        "report.html",
        "summary.json",
        "experiment.yaml",
        "confusion.csv",
        "environment.json",
        "suspicious_labels.csv",
        "figures/overview.png",
        "figures/teacher_accuracy_matrix.png",
        "figures/student_accuracy_matrix.png",
    }
    assert all(
        (finished.output / path).read_bytes().startswith(b"\x89PNG")
        for path in found
        if path.endswith(".png")
    )


# --- MLflow ---------------------------------------------------------------------------------------


def test_the_run_is_finished_under_its_name_with_tags(finished: Finished, tracked: Tracked) -> None:
    assert tracked.run.info.status == "FINISHED"
    assert tracked.run.info.run_id == finished.summary["run_id"]
    assert tracked.run.info.run_name == "a tiny run"
    assert tracked.client.get_experiment(tracked.run.info.experiment_id).name == "tiny"
    expected = {
        "orchestrator.method": "dual_teacher",
        "orchestrator.seed": "0",
        "orchestrator.dataset": "digits",
        "orchestrator.dataset_fingerprint": finished.summary["dataset"]["fingerprint"],
    }
    assert expected.items() <= tracked.run.data.tags.items()


def test_exactly_the_metrics_of_the_contract_are_logged(tracked: Tracked) -> None:
    assert set(tracked.run.data.metrics) == set(names.all_metrics(NUM_TASKS))
    assert all(math.isfinite(value) for value in tracked.run.data.metrics.values())


def test_the_step_of_sequence_metrics_is_the_number_of_learned_tasks(
    finished: Finished, tracked: Tracked
) -> None:
    for role in ("teacher", "student"):
        matrix = finished.summary[role]["accuracy_matrix"]
        assert tracked.history(f"{role}/accuracy") == [
            (i + 1, pytest.approx(sum(row) / len(row))) for i, row in enumerate(matrix)
        ]
        for task in range(NUM_TASKS):
            by_task = [(i + 1, pytest.approx(matrix[i][task])) for i in range(task, NUM_TASKS)]
            assert tracked.history(f"{role}_accuracy/task_{task:02d}") == by_task
        best = max(matrix[0][0], matrix[1][0])
        forgotten = [
            (1, pytest.approx(0)),
            (2, pytest.approx(matrix[0][0] - matrix[1][0])),
            (3, pytest.approx(best - matrix[2][0])),
        ]
        assert tracked.history(f"{role}_forgetting/task_00") == forgotten


def test_training_curves_count_epochs_over_the_lane(tracked: Tracked) -> None:
    # the student trains 2 epochs a task; the teacher 1 of the extractor once and 1 of the embedding
    # a task
    assert [step for step, _ in tracked.history("student_training/loss")] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in tracked.history("teacher_training/loss")] == [1, 2, 3, 4]
    assert all(
        0 <= value <= 1
        for part in ("kdr", "tstr", "tssr")
        for _, value in tracked.history(f"student_training/{part}")
    )


def test_final_scalars_are_logged_once_at_step_zero(finished: Finished, tracked: Tracked) -> None:
    assert tracked.history("final/student_last_accuracy") == [
        (0, pytest.approx(finished.summary["student"]["last_accuracy"]))
    ]
    assert tracked.history("final/teacher_forgetting") == [
        (0, pytest.approx(finished.summary["teacher"]["forgetting"]))
    ]
    assert tracked.history("final/cached_stages") == [(0, 0)]


def test_the_parameters_are_the_flattened_experiment(finished: Finished, tracked: Tracked) -> None:
    assert tracked.run.data.params == flatten(load_experiment(finished.file))


def test_every_file_of_the_output_folder_is_an_artifact(
    finished: Finished, tracked: Tracked
) -> None:
    on_disk = {
        str(path.relative_to(finished.output))
        for path in finished.output.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    assert {path for path in on_disk if not path.startswith("models/")} <= tracked.artifacts()


def test_predictions_by_class_sum_to_the_accuracy_matrices(finished: Finished) -> None:
    summary = finished.summary
    answers = from_csv((finished.output / "confusion.csv").read_text())
    assert [*answers] == [1, 2, 3]
    for role in ("teacher", "student"):
        for row, by_role in zip(summary[role]["accuracy_matrix"], answers.values(), strict=True):
            for accuracy, task in zip(row, summary["tasks"], strict=False):
                right = [by_role[role].right[str(label)] for label in task["classes"]]
                num_right = sum(it.num_images for it in right)
                assert num_right / sum(it.num_of_class for it in right) == pytest.approx(accuracy)


def test_both_models_are_logged_and_registered_on_request(
    tracked: Tracked, finished: Finished
) -> None:
    run_id = tracked.run.info.run_id
    models = tracked.client.search_logged_models([tracked.run.info.experiment_id])
    assert {(model.name, model.status, model.source_run_id) for model in models} == {
        (role, "READY", run_id) for role in ("teacher", "student")
    }
    assert [*tracked.client.search_registered_models()] == [], "a run registers nothing"

    command = ["register", run_id[:8], "--tracking-uri", finished.uri]
    first = CliRunner().invoke(build_application(), command)
    assert first.exit_code == 0, first.output
    assert "tiny-student version 1" in first.output
    again = CliRunner().invoke(build_application(), [*command, "--alias", "served"])
    assert "tiny-student version 1 (registered before)" in again.output
    assert "orchestrator predict models:/tiny-student@served IMAGES" in again.output
    CliRunner().invoke(build_application(), [*command, "--name", "shop"])
    for name in ("tiny", "shop"):
        for role in ("teacher", "student"):
            [version] = tracked.client.search_model_versions(f"name = '{name}-{role}'")
            assert (version.run_id, version.tags["role"]) == (run_id, role)
            assert {*version.tags} == VERSION_TAGS
    assert int(tracked.client.get_model_version_by_alias("tiny-teacher", "served").version) == 1


def test_a_model_that_no_retraining_made_gets_no_retraining_alias(
    tracked: Tracked, finished: Finished
) -> None:
    client, run_id = tracked.client, tracked.run.info.run_id
    client.create_registered_model("house-student")
    client.create_model_version("house-student", "x", tags={"orchestrator.teacher_version": "1"})
    with pytest.raises(UserInputError, match="'champion' of house-student belongs to"):
        register(run_id, "house", ["champion"], finished.uri)
    assert len(client.search_model_versions("name = 'house-student'")) == 1, "nothing registered"
    for name, aliases in (("a/b", []), (None, ["latest"]), (None, ["v3"]), (None, ["a b"])):
        with pytest.raises(UserInputError, match="is no"):
            register(run_id, name, aliases, finished.uri)


def test_the_data_sets_are_logged_with_their_fingerprint(
    finished: Finished, tracked: Tracked
) -> None:
    assert tracked.run.inputs is not None
    inputs = tracked.run.inputs.dataset_inputs
    assert {used.dataset.name for used in inputs} == {"digits-train", "digits-test"}
    assert {used.dataset.digest for used in inputs} == {
        finished.summary["dataset"]["fingerprint"][:36]
    }


def test_the_experiment_has_its_saved_views(tracked: Tracked) -> None:
    views = [
        key
        for key in tracked.client.get_experiment(tracked.run.info.experiment_id).tags
        if key.startswith("mlflow.sharedViewState.")
    ]
    assert len(views) == 2


# --- terminal output ------------------------------------------------------------------------------


def test_without_a_terminal_the_output_is_lines_without_control_characters(
    finished: Finished,
) -> None:
    said = finished.answer.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)
    assert "Traceback" not in finished.answer.stderr
    stages = [line for line in said.splitlines() if re.match(r"task \d/3 (teacher|student)", line)]
    assert len(stages) == 2 * NUM_TASKS
    assert all(line.rstrip().endswith(" s") and " % " in line for line in stages)


def test_a_successful_run_prints_nothing_on_stderr(finished: Finished) -> None:
    assert finished.answer.stderr == ""


def test_the_last_lines_name_the_results_and_the_command_to_open_mlflow(finished: Finished) -> None:
    said = finished.answer.stdout
    assert str(finished.output / "summary.json") in said
    *_, command, link = said.strip().splitlines()
    assert "orchestrator ui" in command
    assert "viewStateShareKey=" in link
    for role in ("teacher", "student"):
        assert f"{100 * finished.summary[role]['last_accuracy']:.1f}" in said


# --- the same numbers -----------------------------------------------------------------------------


def test_the_same_command_gives_the_same_numbers_twice(
    finished: Finished, orchestrator_command: Command, tmp_path: Path
) -> None:
    fresh = ["--set", f"store.uri={tmp_path}/store"]  # an empty store: all is computed again
    again = orchestrator_command(
        "run", str(finished.file), "--output", str(tmp_path), "--name", "again", *fresh
    )
    assert again.returncode == 0, again.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert matrices(summary) == matrices(finished.summary)
    assert [stage["key"] for stage in summary["stages"]] == [
        stage["key"] for stage in finished.summary["stages"]
    ]
    assert not any(stage["cached"] for stage in summary["stages"])
    assert summary["run_id"] != finished.summary["run_id"]
    assert Tracked(finished.uri, summary["run_id"]).run.info.run_name == "again"


def test_the_same_command_on_the_same_store_computes_nothing_and_prints_the_same(
    finished: Finished, tracked: Tracked, orchestrator_command: Command, tmp_path: Path
) -> None:
    again = orchestrator_command("run", str(finished.file), "--output", str(tmp_path))
    assert again.returncode == 0, again.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert all(stage["cached"] for stage in summary["stages"])
    assert summary["worker_seconds"] == 0
    assert matrices(summary) == matrices(finished.summary)
    second = Tracked(finished.uri, summary["run_id"])
    assert second.history("final/cached_stages") == [(0, 2 * NUM_TASKS)]
    assert second.history("student_training/loss") == tracked.history("student_training/loss")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    first = {path.name: path.read_bytes() for path in (finished.output / "figures").iterdir()}
    assert drawn == first
    assert len(drawn) >= 3


def test_python_gives_the_same_numbers_as_the_command(
    finished: Finished, from_python: RunResult
) -> None:
    assert matrices(from_python.summary) == matrices(finished.summary)
    assert json.loads((from_python.output_dir / "summary.json").read_text()) == from_python.summary


def test_python_returns_the_trained_networks(from_python: RunResult) -> None:
    for role, model in from_python.models.items():
        assert model.network.num_parameters() == from_python.summary[role]["num_parameters"]


def test_another_seed_gives_other_numbers(
    tiny_experiment: Experiment, from_python: RunResult, tmp_path: Path
) -> None:
    other = run(tiny_experiment.model_copy(update={"seed": 1}), tmp_path, tracker=InMemoryTracker())
    assert matrices(other.summary) != matrices(from_python.summary)


def test_a_run_does_not_change_torchs_threads_or_generator(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    import torch

    threads, state = torch.get_num_threads(), torch.get_rng_state()
    execution = tiny_experiment.execution.model_copy(update={"num_threads": threads + 1})
    changes = {"execution": execution, "method": {"kind": "nearest_class_mean"}}
    run(
        Experiment.model_validate({**tiny_experiment.model_dump(), **changes}),
        tmp_path,
        tracker=InMemoryTracker(),
    )
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("method", COMPARISON_METHODS)
def test_each_comparison_method_runs(
    tiny_experiment: Experiment, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = InMemoryTracker()
    result = run(
        Experiment.model_validate({**tiny_experiment.model_dump(), "method": small(method)}),
        tracker=tracker,
    )
    assert result.output_dir == Path("out") / f"tiny-{tracker.run_id[:8]}"
    assert result.summary["method"] == method
    assert set(result.summary) >= SUMMARY_KEYS
    assert [len(row) for row in result.summary["teacher"]["accuracy_matrix"]] == [1, 2, 3]
    assert result.summary["student"]["num_parameters"] < result.summary["teacher"]["num_parameters"]
    assert tracker.status == RunStatus.FINISHED
    # a method without epochs has no training curves; everything else is comparable across methods
    expected = {name for name in names.all_metrics(NUM_TASKS) if "_training/" not in name}
    assert expected <= {point.name for point in tracker.metrics}


# --- interruption and failure ---------------------------------------------------------------------


def test_ctrl_c_closes_the_run_as_killed(
    finished: Finished, new_database: Callable[[Path], str], tmp_path: Path
) -> None:
    uri = new_database(tmp_path)
    settings = [
        "student.training.epochs=100000",
        f"store.uri={tmp_path}/store",
        f"tracking.uri={uri}",
    ]
    words = [
        str(finished.file),
        *(word for value in settings for word in ("--set", value)),
        "--output",
        str(tmp_path),
    ]
    with start_orchestrator("run", *words, folder=tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("task 1/3 teacher"):
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    run_id = Tracked(uri).run.info.run_id
    assert said.splitlines() == [f"error: interrupted; run {run_id} is closed as KILLED"]
    assert Tracked(uri).run.info.status == "KILLED"


@pytest.fixture
def failing(
    tmp_path: Path,
    new_database: Callable[[Path], str],
    finished: Finished,
    orchestrator_command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Return a function that runs the command with a replaced stage; it returns the answer and the
    run in MLflow.
    """

    def run_with(
        compute: Callable[..., object],
    ) -> tuple["subprocess.CompletedProcess[str]", Tracked]:
        monkeypatch.setattr("orchestrator.stages.runner.compute_stage", compute)
        uri = new_database(tmp_path)
        fresh = ["--set", f"tracking.uri={uri}", "--set", f"store.uri={tmp_path}/store"]
        answer = orchestrator_command(
            "run", str(finished.file), "--output", str(tmp_path / "out"), *fresh
        )
        return answer, Tracked(uri)

    return run_with


def test_an_exception_closes_the_run_as_failed_with_its_reason(
    failing: Callable[..., Any], tmp_path: Path
) -> None:
    def burn(*_: object) -> NoReturn:
        msg = "the disk is on fire"
        raise RuntimeError(msg)

    answer, tracked = failing(burn)
    assert answer.returncode == 1
    assert "Traceback" in answer.stderr
    assert answer.stderr.rstrip().endswith(
        "error: this is a bug; please report it with the lines above"
    )
    assert tracked.run.info.status == "FAILED"
    assert (
        tracked.run.data.tags["orchestrator.status_reason"] == "RuntimeError: the disk is on fire"
    )
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_termination_signal_closes_the_run_as_killed(failing: Callable[..., Any]) -> None:
    answer, tracked = failing(lambda *_: signal.raise_signal(signal.SIGTERM))
    assert answer.returncode == 130
    assert "Traceback" not in answer.stderr
    assert tracked.run.info.status == "KILLED"
    assert tracked.run.data.tags["orchestrator.status_reason"]
