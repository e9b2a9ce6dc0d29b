"""Whole sweeps on a local Ray, with a real MLflow database: what they compute, share, store, stop,
print and reject.
"""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pytest
import yaml

from orchestrator.config import Experiment, SearchSpace, dump_experiment, load_experiment
from orchestrator.errors import ConfigError, UserInputError
from orchestrator.pipelines.run.run import run
from orchestrator.pipelines.sweep.sweep import sweep
from orchestrator.tracking import InMemoryTracker, names

Command = Callable[..., "subprocess.CompletedProcess[str]"]

# DESIGN.md: a rename is a visible change
SUMMARY_KEYS = {"sweep_id", "metric", "mode", "best", "trials", "wall_seconds", "worker_seconds"}
TRIAL_KEYS = {
    "trial",
    "run_id",
    "status",
    "value",
    "parameters",
    "stages_computed",
    "stages_cached",
    "seconds",
}
ARTIFACTS = {
    "summary.json",
    "best.yaml",
    "search_space.yaml",
    "ledger.jsonl",
    "leaderboard.csv",
    "figures/parallel_coordinates.png",
    "figures/parameter_importance.png",
    "figures/best_accuracy_curves.png",
}
NUM_TASKS = 3
TEMPERATURES = [1, 4, 8]
RATE = "student.training.learning_rate"
# besides 0.002, a rate with which nothing is learned and one with which the loss overflows
GOOD, HOPELESS, FAILING = 0.002, 1e-9, 1e12
ENOUGH_EPOCHS = 15  # enough to beat a hopeless trial, whatever its initial weights


class Place(NamedTuple):
    """A folder with an experiment, its store, its MLflow database and a sweep's output."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "experiment.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def experiment(self) -> Experiment:
        return load_experiment(self.file)

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return summary

    def trials(self) -> list[dict[str, Any]]:
        """Return the newest line of each trial in the ledger."""
        lines = [
            json.loads(line) for line in (self.output / "ledger.jsonl").read_text().splitlines()
        ]
        newest = {line["trial"]["number"]: line["trial"] for line in lines if "trial" in line}
        return [newest[number] for number in sorted(newest)]

    def stored(self, role: str) -> dict[str, int]:
        """Return the time at which each stage of a role was stored, by the path of its manifest."""
        found = {}
        for path in (self.folder / "store").glob("*/manifest.json"):
            if str(json.loads(path.read_text())["values"].get("stage", "")).startswith(f"{role}["):
                found[str(path)] = path.stat().st_mtime_ns
        return found

    def runs(self) -> dict[str, Any]:
        """Return the runs in MLflow, by run id."""
        client = self.client()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return {run.info.run_id: run for run in client.search_runs(experiments)}

    def client(self) -> Any:  # noqa: ANN401 - MLflow is imported late
        from mlflow import MlflowClient

        return MlflowClient(self.experiment.tracking.uri)

    def space(self, parameters: Mapping[str, Sequence[Any]], **fields: Any) -> Path:  # noqa: ANN401 - plain values of YAML
        """Write a search space, by default a grid over choices."""
        choices = {
            path: {"kind": "choice", "values": list(values)} for path, values in parameters.items()
        }
        file = self.folder / "space.yaml"
        file.write_text(
            yaml.safe_dump(
                {"name": "test", "searcher": {"kind": "grid"}, **fields, "parameters": choices}
            )
        )
        return file

    def sweep(self, space: Path, resume: bool = False) -> dict[str, Any]:
        """Run the sweep from Python, without the seconds in which a new process imports
        everything.
        """
        return sweep(
            SearchSpace.model_validate(yaml.safe_load(space.read_text())),
            self.experiment,
            self.output,
            resume=resume,
        ).summary


def artifacts(place: Place, run_id: str, folder: str | None = None) -> set[str]:
    found = place.client().list_artifacts(run_id, folder)
    return {
        path
        for item in found
        for path in (artifacts(place, run_id, item.path) if item.is_dir else {item.path})
    }


def statuses(summary: Mapping[str, Any]) -> list[str]:
    return [trial["status"] for trial in summary["trials"]]


def objective(summary: Mapping[str, Any], forgetting_weight: float = 0.0) -> float:
    """Return the objective from a run's accuracies on validation data, by hand."""
    matrix = summary["student"]["validation_accuracy_matrix"]
    means: list[float] = [sum(row) / len(row) for row in matrix]
    last = len(matrix) - 1
    lost: list[float] = [
        max(matrix[i][j] for i in range(j, last)) - matrix[last][j] for j in range(last)
    ]
    return sum(means) / len(means) + forgetting_weight * sum(lost) / len(lost)


@pytest.fixture(scope="module")
def new_place(
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Place]:
    def make(epochs: int | None = None, **changes: Any) -> Place:  # noqa: ANN401 - plain values of YAML
        folder = tmp_path_factory.mktemp("sweep")
        own = {
            "store": {"uri": f"{folder}/store"},
            "tracking": {"uri": new_database(folder), "spool": f"{folder}/spool"},
        }
        values = tiny_experiment.model_dump()
        # discriminants of untrained features are not hopeless
        values["student"]["classifier"] = "taught"
        values["student"]["training"]["epochs"] = epochs or values["student"]["training"]["epochs"]
        experiment = Experiment.model_validate({**values, **own, **changes})
        (folder / "experiment.yaml").write_text(dump_experiment(experiment))
        return Place(folder)

    return make


# --- three trials, by the command -----------------------------------------------------------------


class Swept(NamedTuple):
    """A sweep that the command has run in a separate process."""

    place: Place
    answer: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def swept(new_place: Callable[..., Place]) -> Swept:
    place = new_place()
    metric = {"student/average_incremental_accuracy": 1.0, "student/forgetting": -0.5}
    space = place.space({"student.temperature": TEMPERATURES}, metric=metric)
    command = [
        sys.executable,
        "-m",
        "orchestrator",
        "sweep",
        str(space),
        "--experiment",
        str(place.file),
        "--output",
        str(place.output),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place.folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return Swept(place, answer)


def test_the_summary_has_the_keys_of_the_contract(swept: Swept) -> None:
    summary = swept.place.summary
    assert set(summary) >= SUMMARY_KEYS
    assert set(summary["best"]) == {"trial", "value", "parameters"}
    assert all(set(trial) >= TRIAL_KEYS for trial in summary["trials"])
    assert [trial["parameters"] for trial in summary["trials"]] == [
        {"student.temperature": value} for value in TEMPERATURES
    ]
    assert statuses(summary) == ["finished"] * 3
    assert summary["best"]["value"] == max(trial["value"] for trial in summary["trials"])


def test_shared_stages_of_trials_are_computed_once(swept: Swept) -> None:
    assert len(swept.place.stored("teacher")) == NUM_TASKS
    assert len(swept.place.stored("student")) == NUM_TASKS * len(TEMPERATURES)
    trials = swept.place.summary["trials"]
    assert sum(trial["stages_computed"] for trial in trials) == NUM_TASKS * (1 + len(TEMPERATURES))
    assert [trial["stages_computed"] + trial["stages_cached"] for trial in trials] == [
        2 * NUM_TASKS
    ] * 3


def test_each_trial_gives_the_numbers_of_a_single_run(swept: Swept, tmp_path: Path) -> None:
    place, runs = swept.place, swept.place.runs()
    for trial in place.summary["trials"]:
        values = place.experiment.model_dump()
        values["student"]["temperature"] = trial["parameters"]["student.temperature"]
        alone = InMemoryTracker()
        single = run(
            Experiment.model_validate({**values, "store": {"uri": f"{tmp_path}/store"}}),
            tmp_path / "out",
            tracker=alone,
        )
        of_seed = json.loads(
            (place.output / "trials" / f"{trial['trial']:04}" / "summary-seed-0.json").read_text()
        )
        assert of_seed["teacher"] == single.summary["teacher"]
        assert of_seed["student"] == single.summary["student"]
        assert trial["value"] == objective(single.summary, -0.5)
        tracked = runs[trial["run_id"]].data
        newest = {point.name: point.value for point in alone.metrics}
        assert set(tracked.metrics) == set(names.all_metrics(NUM_TASKS)) | set(names.TRIAL_METRICS)
        same = set(names.all_metrics(NUM_TASKS)) - {
            names.FINAL_WALL_SECONDS,
            names.FINAL_WORKER_SECONDS,
            names.FINAL_CACHED_STAGES,
        }
        assert {name: tracked.metrics[name] for name in same} == {
            name: newest[name] for name in same
        }
        differ = {key for key, value in alone.parameters.items() if tracked.params[key] != value}
        assert differ == {"store.uri"}


def test_the_best_experiment_file_gives_the_best_objective_bit_for_bit(
    swept: Swept, orchestrator_command: Command, new_database: Callable[[Path], str], tmp_path: Path
) -> None:
    fresh = [
        "--set",
        f"store.uri={tmp_path}/store",
        "--set",
        f"tracking.uri={new_database(tmp_path)}",
    ]
    answer = orchestrator_command(
        "run", str(swept.place.output / "best.yaml"), "--output", str(tmp_path / "out"), *fresh
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert not any(stage["cached"] for stage in found["stages"])
    assert objective(found, -0.5) == swept.place.summary["best"]["value"]


def test_mlflow_has_the_sweep_with_its_files_and_one_child_a_trial(swept: Swept) -> None:
    summary, runs = swept.place.summary, swept.place.runs()
    parent = runs.pop(summary["sweep_id"])
    assert parent.info.status == "FINISHED"
    assert artifacts(swept.place, summary["sweep_id"]) >= ARTIFACTS
    assert set(runs) == {trial["run_id"] for trial in summary["trials"]}
    for trial in summary["trials"]:
        child = runs[trial["run_id"]]
        assert child.info.status == "FINISHED"
        assert (
            child.data.tags["mlflow.parentRunId"]
            == child.data.tags["orchestrator.sweep"]
            == summary["sweep_id"]
        )
        assert child.data.tags["orchestrator.trial"] == str(trial["trial"])
        assert child.data.tags["orchestrator.seed"] == "0"
        history = swept.place.client().get_metric_history(trial["run_id"], "trial/objective")
        assert sorted((point.step, point.value) for point in history) == list(
            enumerate(trial["curve"], start=1)
        )
        assert child.data.metrics["trial/stages_computed"] == trial["stages_computed"]


def test_the_files_on_disk_are_complete(swept: Swept) -> None:
    output, summary = swept.place.output, swept.place.summary
    assert all((output / path).is_file() for path in ARTIFACTS)
    assert all(
        (output / path).read_bytes().startswith(b"\x89PNG")
        for path in ARTIFACTS
        if path.endswith(".png")
    )
    rows = list(csv.DictReader((output / "leaderboard.csv").read_text().splitlines()))
    [study] = optuna.get_all_study_summaries(f"sqlite:///{swept.place.folder / 'studies.db'}")
    assert (study.study_name, study.n_trials) == (f"test {summary['sweep_id']}", 3)
    assert study.best_trial is not None
    assert study.best_trial.value == summary["best"]["value"]
    ranked = sorted(summary["trials"], key=lambda trial: -trial["value"])
    assert [int(row["trial"]) for row in rows] == [trial["trial"] for trial in ranked]
    assert (
        SearchSpace.model_validate(
            yaml.safe_load((output / "search_space.yaml").read_text())
        ).searcher.kind
        == "grid"
    )


def test_the_terminal_shows_few_lines_and_none_of_ray(swept: Swept) -> None:
    said = swept.answer.stdout
    assert swept.answer.stderr == ""
    assert len(said.splitlines()) <= 24
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)
    of_others = said.replace("Ray      starts on this machine; this may take a minute", "")
    assert not re.search(r"pid=|ray|tune|trainable", of_others, re.IGNORECASE)
    assert [line.split()[1] for line in said.splitlines() if re.match(r"trial +\d", line)] != []
    assert (swept.place.output / "ray.log").exists()


def test_a_second_start_needs_resume_and_the_same_experiment(
    swept: Swept, orchestrator_command: Command, tmp_path: Path
) -> None:
    place, space = swept.place, str(swept.place.folder / "space.yaml")
    words = ["sweep", space, "--experiment", str(place.file)]
    before = (place.output / "ledger.jsonl").read_bytes()

    def refused(*more: str) -> str:
        answer = orchestrator_command(*words, *more)
        assert answer.returncode == 2
        assert len(answer.stderr.splitlines()) == 1
        assert (place.output / "ledger.jsonl").read_bytes() == before
        return answer.stderr

    assert "there is a sweep already; add --resume" in refused("--output", str(place.output))
    assert "there is no sweep to resume" in refused(
        "--output", str(tmp_path / "nothing"), "--resume"
    )
    assert "with another experiment (seed differ)" in refused(
        "--output", str(place.output), "--resume", "--set", "seed=1"
    )
    assert place.summary["best"] is not None


@pytest.mark.parametrize(
    "change",
    [{"metric": "student/last_accuracy"}, {"split": "test"}, {"seeds": [0, 1]}],
    ids=["metric", "split", "seeds"],
)
def test_metric_split_and_seeds_cannot_change_on_resume(
    swept: Swept, change: dict[str, Any]
) -> None:
    place = swept.place
    before = yaml.safe_load((place.output / "search_space.yaml").read_text())
    changed = SearchSpace.model_validate({**before, **change})
    with pytest.raises(ConfigError, match=next(iter(change))):
        sweep(changed, place.experiment, place.output, resume=True)


def test_a_complete_sweep_is_resumed_without_ray_and_prints_the_same(
    swept: Swept, orchestrator_command: Command, tmp_path: Path
) -> None:
    place, before = swept.place, swept.place.summary
    words = [
        "sweep",
        str(place.folder / "space.yaml"),
        "--experiment",
        str(place.file),
        "--output",
        str(place.output),
    ]
    elsewhere = [
        "--set",
        f"data.cache_dir={tmp_path}",
        "--set",
        "data.max_memory_gib=1",
    ]  # as on another machine
    for flags in (["--resume"], ["--resume-if-begun", *elsewhere]):
        answer = orchestrator_command(*words, *flags, "--num-trials", str(len(TEMPERATURES)))
        assert answer.returncode == 0, answer.stderr
    assert {**place.summary, "wall_seconds": 0} == {**before, "wall_seconds": 0}
    assert place.runs()[before["sweep_id"]].info.status == "FINISHED"


# --- several seeds; a budget, and more of it ------------------------------------------------------


@pytest.mark.reliability
def test_a_spent_budget_interrupts_and_a_larger_one_resumes_with_the_mean_over_seeds(
    new_place: Callable[..., Place],
) -> None:
    place = new_place()
    metrics = {"student/average_incremental_accuracy": "max", "student/num_parameters": "min"}
    settings: dict[str, Any] = {"seeds": [0, 1], "max_concurrent_trials": 1, "metrics": metrics}
    first = place.sweep(
        place.space({"student.temperature": [1, 4]}, budget={"worker_seconds": 0.01}, **settings)
    )
    assert statuses(first) == ["interrupted"]
    assert first["best"] is None
    assert place.runs()[first["trials"][0]["run_id"]].info.status == "KILLED"
    stored = place.stored("teacher") | place.stored("student")
    assert stored

    second = place.sweep(
        place.space({"student.temperature": [1, 4]}, budget={"worker_seconds": 10000}, **settings),
        resume=True,
    )
    assert statuses(second) == ["finished", "finished"]
    assert second["sweep_id"] == first["sweep_id"]
    assert second["trials"][0]["run_id"] == first["trials"][0]["run_id"]
    now = place.stored("teacher") | place.stored("student")
    assert stored.items() <= now.items()
    assert len(now) == 2 * (NUM_TASKS + 2 * NUM_TASKS)
    assert {run.info.status for run in place.runs().values()} == {"FINISHED"}
    for trial in second["trials"]:
        folder = place.output / "trials" / f"{trial['trial']:04}"
        values = [
            objective(json.loads((folder / f"summary-seed-{seed}.json").read_text()))
            for seed in (0, 1)
        ]
        assert values[0] != values[1]
        assert trial["value"] == pytest.approx(sum(values) / 2, abs=1e-12)
        history = place.client().get_metric_history(trial["run_id"], "student/accuracy")
        assert sorted({point.step for point in history}) == [1, 2, 3]
        assert place.runs()[trial["run_id"]].data.tags["orchestrator.seed"] == "0, 1"
    # two objectives: students of equal size, so that the more accurate one is the front
    sizes = {trial["values"]["student/num_parameters"] for trial in second["trials"]}
    assert len(sizes) == 1
    best = max(trial["value"] for trial in second["trials"])
    front = [trial["trial"] for trial in second["trials"] if trial["value"] == best]
    assert second["front"] == front
    # both starts are one study, in which the interrupted trial has finished
    storage = f"sqlite:///{place.folder / 'studies.db'}"
    [name] = optuna.get_all_study_names(storage)
    assert name == f"test {second['sweep_id']}"
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [trial.values for trial in trials] == [
        list(trial["values"].values()) for trial in second["trials"]
    ]


# --- trial schedulers, and trials that fail -------------------------------------------------------


def test_asha_stops_a_hopeless_trial_and_a_failing_one_does_not_affect_the_others(
    new_place: Callable[..., Place],
) -> None:
    place = new_place(ENOUGH_EPOCHS)
    asha = {"kind": "asha", "grace_tasks": 1, "reduction_factor": 2}
    summary = place.sweep(
        place.space(
            {RATE: [FAILING, GOOD, HOPELESS]}, trial_scheduler=asha, max_concurrent_trials=1
        )
    )
    assert statuses(summary) == ["failed", "finished", "stopped"]
    assert summary["best"]["trial"] == 1
    failed, _, stopped = summary["trials"]
    assert failed["reason"].startswith(
        "student[0]: the loss is nan after epoch 1 of student; lower the learning rate"
    )
    assert stopped["reason"] == "by the trial scheduler after task 1"
    assert len(stopped["curve"]) == 1
    assert failed["value"] is stopped["value"] is None
    runs = place.runs()
    assert [runs[trial["run_id"]].info.status for trial in summary["trials"]] == [
        "FAILED",
        "FINISHED",
        "KILLED",
    ]
    for trial in (failed, stopped):
        assert runs[trial["run_id"]].data.tags["orchestrator.status_reason"] == trial["reason"]
    # the hopeless trial has learned only one task
    assert len(place.stored("student")) == NUM_TASKS + 1


@pytest.mark.reliability
def test_the_median_rule_stops_a_trial_worse_than_the_others(
    new_place: Callable[..., Place],
) -> None:
    place = new_place(ENOUGH_EPOCHS)
    median = {"kind": "median", "grace_tasks": 1, "min_trials": 2}
    summary = place.sweep(
        place.space(
            {RATE: [GOOD, 0.003, HOPELESS]}, trial_scheduler=median, max_concurrent_trials=1
        )
    )
    assert statuses(summary) == ["finished", "finished", "stopped"]


@pytest.mark.reliability
def test_in_population_based_training_every_variation_is_a_separate_trial(
    new_place: Callable[..., Place],
) -> None:
    place = new_place(ENOUGH_EPOCHS)
    pbt = {
        "kind": "pbt",
        "perturbation_tasks": 1,
        "quantile_fraction": 0.5,
        "resample_probability": 0,
    }
    space = place.space({RATE: [GOOD, HOPELESS, FAILING]}, trial_scheduler=pbt)
    summary = place.sweep(space)
    trials = place.trials()
    variations = [trial for trial in trials if trial["variation_of"] is not None]
    assert variations
    assert all(trial["variation_of"] < trial["number"] for trial in variations)
    assert statuses(summary)[2] == "failed"
    assert statuses(summary).count("finished") == 2
    assert set(statuses(summary)) == {"finished", "stopped", "failed"}
    left = [trial for trial in trials if trial["status"] == "stopped"]
    assert all(
        re.fullmatch(r"switched to trial \d+, a variation of a better trial", trial["reason"])
        for trial in left
    )
    runs = place.runs()
    assert set(runs) == {summary["sweep_id"], *(trial["run_id"] for trial in summary["trials"])}
    assert len(runs) == 1 + len(trials)
    finished = [trial for trial in trials if trial["status"] == "finished"]
    assert all(
        trial["stages_computed"] + trial["stages_cached"] == 2 * NUM_TASKS for trial in finished
    )
    assert all(trial["value"] == trial["curve"][-1] for trial in finished)


@pytest.mark.reliability
def test_if_all_trials_fail_the_sweep_fails_and_again_on_resume(
    new_place: Callable[..., Place],
) -> None:
    place = new_place()
    space = place.space({RATE: [FAILING]}, num_trials=1)
    for resume in (False, True):
        with pytest.raises(UserInputError, match="all trials failed"):
            place.sweep(space, resume)
        assert {run.info.status for run in place.runs().values()} == {"FAILED"}
    assert len(place.runs()) == 2


# --- lanes of several workers ---------------------------------------------------------------------


@pytest.mark.reliability
@pytest.mark.parametrize("temperatures", [[4], [1, 4]], ids=["one trial", "two trials"])
def test_trials_of_several_workers_learn_in_lanes_and_share_their_teacher(
    new_place: Callable[..., Place], temperatures: list[int]
) -> None:
    lanes = {
        "teacher": {"num_train_workers": 2, "num_cpus_per_worker": 0.5},
        "student": {"num_cpus_per_worker": 0.5},
    }
    place = new_place(execution={"kind": "ray", **lanes})
    summary = place.sweep(place.space({"student.temperature": temperatures}))
    assert statuses(summary) == ["finished"] * len(temperatures)
    assert len(place.stored("teacher")) == NUM_TASKS
    assert (
        sum(trial["stages_computed"] for trial in summary["trials"])
        == (1 + len(temperatures)) * NUM_TASKS
    )
    manifests = [json.loads(Path(path).read_text())["values"] for path in place.stored("teacher")]
    assert [values["num_train_workers"] for values in manifests] == [2] * NUM_TASKS


# --- rejected before anything starts --------------------------------------------------------------


def test_too_few_cpus_for_a_trial_are_reported_at_once_with_the_arithmetic(
    new_place: Callable[..., Place], orchestrator_command: Command
) -> None:
    place = new_place()
    space = place.space({"student.temperature": [1]})
    lanes = "execution={kind: ray, teacher: {num_train_workers: 2, num_cpus_per_worker: 300}}"
    answer = orchestrator_command(
        *("sweep", str(space), "--experiment", str(place.file), "--set", lanes),
        *("--output", str(place.output)),
    )
    assert answer.returncode == 2
    assert "a trial needs 601 CPU, this machine has" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert not place.output.exists(), "something was started before the arithmetic"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"parameters": {"student.temperatur": {"kind": "choice", "values": [1]}}},
            "did you mean student.temperature",
        ),
        ({"parameters": {"student.temperature": {"kind": "uniform", "low": 4, "high": 1}}}, "high"),
        (
            {
                "parameters": {
                    "student.temperature": {
                        "kind": "choice",
                        "values": [1],
                        "when": {"student.transfr.kind": "fixed"},
                    }
                }
            },
            "student.transfer",
        ),
        (
            {"metric": "student/averge_incremental_accuracy"},
            "did you mean student/average_incremental_accuracy",
        ),
        ({"constraints": ["student.temperature >> 1"]}, "is not of the form"),
        ({"constraints": ["student.temperature > 100"]}, "every combination was rejected"),
        ({"warm_start": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
    ids=["path", "range", "condition", "metric", "constraint", "impossible", "warm start"],
)
def test_an_invalid_search_space_is_one_line_on_stderr(
    new_place: Callable[..., Place],
    orchestrator_command: Command,
    fields: dict[str, Any],
    expected: str,
) -> None:
    place = new_place()
    space = place.folder / "space.yaml"
    temperature = {"student.temperature": {"kind": "choice", "values": [1, 4]}}
    space.write_text(
        yaml.safe_dump(
            {"name": "test", "searcher": {"kind": "grid"}, "parameters": temperature, **fields}
        )
    )
    answer = orchestrator_command(
        "sweep", str(space), "--experiment", str(place.file), "--output", str(place.output)
    )
    assert answer.returncode == 2, answer.stderr
    assert expected in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert "Traceback" not in answer.stderr
    assert not place.output.exists() or not list(place.output.glob("*.jsonl"))
