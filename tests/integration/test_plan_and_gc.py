"""Commands on a stage store: `plan` starts nothing, `gc` removes unused entries. Real stages on a
real disk.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import yaml

from orchestrator.config import Experiment, dump_experiment
from orchestrator.reporting.quantities import duration, size
from orchestrator.stages import StageRunner, prepare_work

Command = Callable[..., "subprocess.CompletedProcess[str]"]
KEY = re.compile(r"[0-9a-f]{64}")
DAY = 24 * 3600.0
ROOT = Path(__file__).parents[2]


class Case:
    """A folder with an experiment file, and a store with the first two of its four stages."""

    def __init__(self, folder: Path, experiment: Experiment, command: Command) -> None:
        self.folder, self.experiment, self.command = folder, experiment, command
        self.store = folder / "store"
        self.file = folder / "experiment.yaml"
        self.file.write_text(dump_experiment(experiment))

    def search_space(self, **changes: object) -> Path:
        """Write a file with three trials that differ in the students' epochs; the second is the
        unchanged experiment.
        """
        parameters = {"student.training.epochs": {"kind": "choice", "values": [1, 2, 3]}}
        file = self.folder / "space.yaml"
        file.write_text(
            yaml.safe_dump(
                {"name": "test", "parameters": parameters, "searcher": {"kind": "grid"}, **changes}
            )
        )
        return file

    def keys(self) -> set[str]:
        return {path.name for path in self.store.iterdir() if KEY.fullmatch(path.name)}

    def aged(self, days: float) -> "Case":
        for path in (*self.store.rglob("*"), self.store):
            os.utime(path, (time.time() - days * DAY,) * 2)
        return self

    def said(self, *arguments: str) -> str:
        answer = self.command(*arguments)
        assert answer.returncode == 0, answer.stderr
        assert answer.stderr == ""
        return answer.stdout


def _experiment(tiny: Experiment, folder: Path) -> Experiment:
    scenario = {
        "num_base_classes": 2,
        "classes_per_task": 2,
        "class_order": [0, 1, 2, 3],
        "max_images_per_class": 20,
    }
    changes: dict[str, Any] = {
        "scenario": scenario,
        "store": {"uri": f"{folder}/store"},
        "tracking": {
            "uri": f"sqlite:///{folder}/mlflow.db",
            "spool": f"{folder}/spool",
            "models": "none",
        },
    }
    return Experiment.model_validate({**tiny.model_dump(), **changes})


@pytest.fixture(scope="module")
def half_done(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the case after an interruption: both stages of the first task are stored."""
    folder = tmp_path_factory.mktemp("half done")
    work = prepare_work(_experiment(tiny_experiment, folder))
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages[:2]:
        runner.obtain(stage)
    return folder / "store"


@pytest.fixture
def case(
    tiny_experiment: Experiment, half_done: Path, tmp_path: Path, orchestrator_command: Command
) -> Iterator[Case]:
    shutil.copytree(half_done, tmp_path / "store")
    with patch.dict(os.environ):  # restore environment variables, which preparing for Ray sets
        yield Case(tmp_path, _experiment(tiny_experiment, tmp_path), orchestrator_command)


def _rows(table: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table, by its first cell."""
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in table.splitlines()
        if line.startswith("│")
    ]
    return {row[0]: row[1:] for row in rows}


# --- plan -----------------------------------------------------------------------------------------


def test_a_plan_shows_every_stage_with_its_key_state_and_estimate(case: Case) -> None:
    stages = prepare_work(case.experiment).stages
    said = case.said("plan", str(case.file))
    rows = _rows(said)
    assert [(name, rows[name][2], rows[name][3]) for name in rows] == [
        (stage.name, stage.key[:12], "stored" if stage.task.index == 0 else "to compute")
        for stage in stages
    ]
    assert [rows[stage.name][0] for stage in stages] == ["0, 1", "0, 1", "2, 3", "2, 3"]
    assert [rows[stage.name][1] for stage in stages[2:]] == ["40", "40"]
    assert [rows[stage.name][4] for stage in stages[:2]] == ["", ""]
    assert all(float(rows[stage.name][4]) >= 0 for stage in stages[2:])
    assert "2 stored, 0 begun, 2 to compute" in said
    assert re.search(
        r"cost +roughly \d+ s of worker time, \d+ s of wall time: one stage after another", said
    )
    assert "no estimate" not in said


def test_a_started_stage_is_shown_as_started(case: Case) -> None:
    key = prepare_work(case.experiment).stages[2].key
    (case.store / "progress" / key / "embedding").mkdir(parents=True)
    assert _rows(case.said("plan", str(case.file)))["teacher[1]"][3] == "begun"


def test_without_measured_stages_the_plan_has_no_estimate_and_says_so(case: Case) -> None:
    said = case.said("plan", str(case.file), "--set", f"store.uri={case.folder}/empty")
    assert {cells[4] for cells in _rows(said).values()} == {"no estimate"}
    for role in ("teacher", "student"):
        assert f"{role}: no estimate, as no measured stage of this role is in the store" in said
    assert "roughly" not in said


def test_another_seed_is_to_be_computed_and_estimated_from_the_first_ones_stages(
    case: Case,
) -> None:
    said = case.said("plan", str(case.file), "--set", "seed=1")
    assert "0 stored, 0 begun, 4 to compute" in said
    assert "no estimate" not in said


def test_a_plan_under_ray_compares_both_lanes_with_this_machine(case: Case) -> None:
    overrides = [
        "execution.kind=ray",
        "execution.teacher.num_cpus_per_worker=500",
        "execution.student.num_train_workers=[1,3]",
    ]
    said = case.said(
        "plan", str(case.file), *(word for override in overrides for word in ("--set", override))
    )
    assert re.search(
        r"teacher lane 1 x 500 CPU, student lane 1 to 3 x 1 CPU; this machine has \d+ CPU", said
    )
    assert (
        "the lanes need 501 CPU at the same time (teacher lane 1 x 500 + student lane 1 x 1)"
        in said
    )
    assert "both lanes in parallel" in said


def test_a_remote_cluster_is_named_but_not_contacted(case: Case) -> None:
    said = case.said(
        "plan",
        str(case.file),
        "--set",
        "execution.kind=ray",
        "--set",
        "execution.address=127.0.0.1:1",
    )
    assert "the cluster at 127.0.0.1:1 is checked when the run starts" in said


@pytest.mark.parametrize("is_sweep", [False, True], ids=["run", "sweep"])
def test_a_plan_starts_and_writes_nothing(case: Case, is_sweep: bool) -> None:
    search = ["--search-space", str(case.search_space())] if is_sweep else []
    before = {path: path.stat().st_mtime_ns for path in case.folder.rglob("*")}
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print('LOADED', sorted({'ray', 'mlflow'} & set(sys.modules)))\n"
    )
    arguments = ["plan", str(case.file), "--set", "execution.kind=ray", *search]
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=case.folder,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "LOADED []"
    assert {path: path.stat().st_mtime_ns for path in case.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("sed=1", "sed is not a known key; did you mean seed?"),
        ("scenario.class_order=[0,1,2,33]", "the data set digits has no label 33"),
        ("store.uri=foo://bar", "store.uri = 'foo://bar'"),
    ],
)
def test_a_plan_of_bad_input_is_one_error(case: Case, override: str, expected: str) -> None:
    answer = case.command("plan", str(case.file), "--set", override)
    assert (answer.returncode, answer.stdout) == (2, "")
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line


# --- plan of a sweep ------------------------------------------------------------------------------


def test_a_sweeps_plan_shows_shared_and_stored_stages(case: Case) -> None:
    said = case.said("plan", str(case.file), "--search-space", str(case.search_space()))
    rows = _rows(said)
    # three trials of two tasks; they share both teachers, and one of them has the experiment's own
    # students
    assert [cells[0] for cells in rows.values()] == ["12", "8", "6"]
    assert said.splitlines()[0].strip() == "test: 3 trials of tiny"
    assert all(
        re.fullmatch(r"(\d+ min )?\d+ s", cell) for cells in rows.values() for cell in cells[1:]
    )
    assert "3: every combination of the grid" in said
    assert "8 different, 2 stored, 6 to compute" in said
    assert re.search(
        r"resources +a trial takes 1 CPU; this machine has \d+ CPU and \d+ GPU; \d+ at once", said
    )
    assert "no estimate" not in said


def test_after_all_stages_are_stored_the_plan_is_empty(case: Case) -> None:
    for epochs in (1, 2, 3):
        changed = {**case.experiment.student.model_dump(), "training": {"epochs": epochs}}
        work = prepare_work(
            Experiment.model_validate({**case.experiment.model_dump(), "student": changed})
        )
        runner = StageRunner(work, torch.device("cpu"), lambda _: None)
        for stage in work.stages:
            runner.obtain(stage)
    said = case.said("plan", str(case.file), "--search-space", str(case.search_space()))
    assert "8 different, 8 stored, 0 to compute" in said
    assert list(_rows(said).values())[2] == ["0", "0 s", "0 s"]


def test_without_measured_stages_a_sweeps_plan_has_no_estimate_and_says_so(case: Case) -> None:
    said = case.said(
        "plan",
        str(case.file),
        "--search-space",
        str(case.search_space()),
        "--set",
        f"store.uri={case.folder}/empty",
    )
    assert [cells[1:] for cells in _rows(said).values()] == [["no estimate", "no estimate"]] * 3
    for role in ("teacher", "student"):
        assert f"{role}: no estimate, as no measured stage of this role is in the store" in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seeds": [0, 1]}, "3 with 2 seeds each: every combination of the grid"),
        ({"num_trials": 2}, "2: the first combinations of the grid"),
        ({"num_trials": 9}, "3: every combination of the grid"),
        (
            {"num_trials": 2, "searcher": {"kind": "random"}},
            "2: drawn at random, as the sweep draws them",
        ),
        (
            {"num_trials": 2, "searcher": {"kind": "optuna"}},
            "the sweep's own choice depends on its results",
        ),
        ({"num_trials": 5000, "searcher": {"kind": "random"}}, "5,000 trials of tiny"),
        (
            {"num_trials": 5000, "searcher": {"kind": "random"}},
            "200 of them were planned; the figures for all trials are extrapolated",
        ),
        (
            {"trial_scheduler": {"kind": "asha"}},
            "every trial is counted in full; asha stops some trials earlier",
        ),
        (
            {"trial_scheduler": {"kind": "pbt"}},
            "the variations of good trials that pbt makes are not counted",
        ),
        ({"budget": {"wall_seconds": 3600}}, "the sweep ends after 1 h 00 min of wall time"),
        ({"budget": {"worker_seconds": 90}}, "the sweep ends after 1 min 30 s of worker time"),
        ({"max_concurrent_trials": 1}, "; 1 at once"),
    ],
)
def test_a_sweeps_plan_states_its_assumptions(
    case: Case, changes: dict[str, Any], expected: str
) -> None:
    assert expected in case.said(
        "plan", str(case.file), "--search-space", str(case.search_space(**changes))
    )


def test_a_sweeps_plan_names_a_remote_cluster_and_reports_what_does_not_fit_here(
    case: Case,
) -> None:
    arguments = [
        "plan",
        str(case.file),
        "--search-space",
        str(case.search_space()),
        "--set",
        "execution.kind=ray",
    ]
    said = case.said(*arguments, "--set", "execution.address=127.0.0.1:1")
    assert (
        "a trial takes 1 CPU; the cluster at 127.0.0.1:1 is checked when the sweep starts\n" in said
    )
    assert [cells[2] for cells in _rows(said).values()] == ["no estimate"] * 3
    said = case.said(
        *arguments,
        "--set",
        "execution.teacher.num_train_workers=2",
        "--set",
        "execution.teacher.num_cpus_per_worker=200",
    )
    assert "a trial takes 401 CPU in lanes; this machine has" in said
    assert re.search(
        r"no room +execution: a trial needs 401 CPU, this machine has \d+; lower num_train_workers",
        said,
    )


@pytest.mark.parametrize(
    ("changes", "overrides", "expected"),
    [
        (
            {"parameters": {"student.temprature": {"kind": "choice", "values": [1]}}},
            [],
            "did you mean student.temperature?",
        ),
        ({"constraints": ["student.training.epochs > 9"]}, [], "every combination was rejected"),
        (
            {},
            ["--set", "data.validation_fraction=0"],
            "data.validation_fraction = 0 sets none aside",
        ),
        ({}, ["--set", "scenario.class_order=[0,1,2,33]"], "the data set digits has no label 33"),
        ({}, ["--set", "sed=1"], "sed is not a known key; did you mean seed?"),
    ],
)
def test_a_sweeps_plan_of_bad_input_is_one_error(
    case: Case, changes: dict[str, Any], overrides: list[str], expected: str
) -> None:
    answer = case.command(
        "plan", str(case.file), "--search-space", str(case.search_space(**changes)), *overrides
    )
    assert (answer.returncode, answer.stdout) == (2, "")
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line


@pytest.mark.parametrize("command", ["plan", "gc"])
def test_a_store_that_cannot_be_read_exits_with_3(case: Case, command: str) -> None:
    (case.folder / "file").touch()
    arguments = (
        [str(case.file), "--set", f"store.uri={case.folder}/file"]
        if command == "plan"
        else ["--store", f"{case.folder}/file"]
    )
    answer = case.command(command, *arguments)
    assert (answer.returncode, answer.stdout) == (3, "")
    [line] = answer.stderr.splitlines()
    assert line.startswith(f"error: {case.folder}/file: the stage store cannot be ")


# --- gc -------------------------------------------------------------------------------------------


def test_gc_removes_entries_older_than_30_days_and_reports_removed_and_kept_ones(
    case: Case,
) -> None:
    num_bytes = sum(
        path.stat().st_size for path in case.aged(31).store.rglob("*") if path.is_file()
    )
    said = case.said("gc", "--store", str(case.store))
    assert case.keys() == set()
    assert said.splitlines()[0] == f"{case.store}:"
    # two stages and their evaluations
    assert re.search(
        rf"stages, evaluations, feature tables, models +4 removed +{re.escape(size(num_bytes))} +0"
        r" left +0 B",
        said,
    )
    assert re.search(r"epoch checkpoints +0 removed +0 B +0 left +0 B", said)


def test_gc_keeps_younger_entries_and_the_days_are_configurable(case: Case) -> None:
    case.aged(29)
    assert re.search(
        r"stages, evaluations, feature tables, models +0 removed +0 B +4 left",
        case.said("gc", "--store", str(case.store)),
    )
    assert len(case.keys()) == 4
    case.said("gc", "--store", str(case.store), "--unused-days", "28")
    assert case.keys() == set()


def test_gc_never_removes_the_stages_and_evaluations_of_a_named_experiment(case: Case) -> None:
    before = case.aged(4000).keys()
    foreign = case.store / ("f" * 64)
    shutil.copytree(case.store / min(before), foreign)
    os.utime(foreign / "manifest.json", (time.time() - 31 * DAY,) * 2)
    said = case.said("gc", str(case.file))
    assert case.keys() == before
    assert re.search(r"stages, evaluations, feature tables, models +1 removed .* 4 left", said)
    # another seed makes another experiment: the file no longer needs these stages
    case.file.write_text(yaml.safe_dump({**yaml.safe_load(case.file.read_text()), "seed": 1}))
    case.said("gc", str(case.file))
    assert case.keys() == set()


def test_gc_with_a_store_and_an_experiment_keeps_its_stages_in_that_store(case: Case) -> None:
    before = case.aged(31).keys()
    copy = case.folder / "another store"
    shutil.copytree(case.store, copy)
    case.said("gc", str(case.file), "--store", str(copy), "--unused-days", "0")
    assert {path.name for path in copy.iterdir() if KEY.fullmatch(path.name)} == before


def test_a_dry_run_lists_what_gc_would_remove_and_removes_nothing(case: Case) -> None:
    before = case.aged(31).keys()
    said = case.said("gc", "--store", str(case.store), "--dry-run")
    assert {
        line.split()[2].rpartition("/")[2]
        for line in said.splitlines()
        if line.startswith("would remove")
    } == before
    assert re.search(r"stages, evaluations, feature tables, models +4 to remove", said)
    assert case.keys() == before


def test_gc_reports_a_missing_store_and_creates_none(case: Case) -> None:
    nowhere = case.folder / "nowhere"
    assert (
        case.said("gc", "--store", str(nowhere))
        == f"{nowhere}: no stage store here; nothing to remove\n"
    )
    assert not nowhere.exists()


def test_without_store_and_files_gc_uses_the_default_store(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.folder)
    assert (
        case.said("gc")
        == f"{case.folder}/.orchestrator/store: no stage store here; nothing to remove\n"
    )


def test_gc_with_an_invalid_experiment_file_removes_nothing(case: Case) -> None:
    before = case.aged(31).keys()
    answer = case.command(
        "gc", str(case.file), str(case.folder / "none.yaml"), "--store", str(case.store)
    )
    assert (answer.returncode, answer.stdout) == (2, "")
    assert case.keys() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--store", ""], "error: --store is empty"),
        (["--store", "foo://bar"], "error: store.uri = 'foo://bar'"),
        (["--unused-days", "-1"], "--unused-days"),
        (["--unused-days", "many"], "--unused-days"),
    ],
)
def test_wrong_usage_of_gc_exits_with_2(case: Case, arguments: list[str], expected: str) -> None:
    answer = case.command("gc", *arguments)
    assert answer.returncode == 2
    assert expected in answer.stderr
    assert "Traceback" not in answer.stderr


def test_after_gc_the_same_experiment_computes_its_stages_again(case: Case) -> None:
    case.aged(31).said("gc", "--store", str(case.store))
    assert "0 stored, 0 begun, 4 to compute" in case.said("plan", str(case.file))


# --- help and formats -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["plan", "gc"])
def test_help_shows_examples_with_existing_files(
    command: str, orchestrator_command: Command
) -> None:
    answer = orchestrator_command(command, "--help")
    assert answer.returncode == 0
    assert f"orchestrator {command} " in answer.stdout
    files = set(re.findall(r"(?:experiments|search_spaces)/\w+\.yaml", answer.stdout))
    assert files
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_are_readable(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("num_bytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2_500_000_000, "2.5 GB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_sizes_are_readable(num_bytes: int, expected: str) -> None:
    assert size(num_bytes) == expected
