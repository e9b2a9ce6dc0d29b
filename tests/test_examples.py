"""Every script of examples/ works as described, without Ray; sweeps also without MLflow."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.config import SearchSpace, load_search_space
from tests.unit.pipelines.sweep.test_sweep import compute_here

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SHORT = [
    "scenario.class_order=[0, 1, 2, 3]",
    "scenario.max_images_per_class=20",
    "teacher.training.epochs=1",
    "student.training.epochs=1",
    "execution={kind: in_process, num_threads: 1, device: cpu}",
    # no server listens there: nothing is sent
    "tracking={uri: 'http://127.0.0.1:9', required: false, models: none}",
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def overrides(shared: Path, digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    import orchestrator.tuning.ray_tune

    monkeypatch.setattr(orchestrator.tuning.ray_tune, "compute_trials", compute_here)
    folders = {
        "data.cache_dir": digits_cache,
        "store.uri": shared / "store",
        "tracking.spool": shared / "spool",
    }
    return [*SHORT, *(f"{path}={folder}" for path, folder in folders.items())]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_guide_names_every_example_and_no_other() -> None:
    guide = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([\w./]+)` \|", guide, flags=re.MULTILINE))
    assert named == {*(file.name for file in EXAMPLES.glob("*.py")), "plugin/"}


def test_a_sweep_prints_its_trials_and_the_best_one(
    shared: Path, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = example("sweep").main(shared, overrides)
    assert len(result.trials) == 3
    said = capsys.readouterr().out
    assert f"best: trial {result.best.number} with" in said
    assert "student.temperature" in said


def _only_quick_students(file: Path, num_trials: int) -> SearchSpace:
    space = load_search_space(file, num_trials)
    kept = {
        path: distribution
        for path, distribution in space.parameters.items()
        if path not in ("student.training.epochs", "student.backbone.pooled_sizes")
    }
    bounds = {"student/num_parameters": "<= 50_000"}
    return space.model_copy(update={"parameters": kept, "bounds": bounds})


def test_the_printed_front_equals_optunas(
    shared: Path,
    overrides: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = example("pareto")
    monkeypatch.setattr(module, "load_search_space", _only_quick_students)
    result = module.main(shared, overrides, num_trials=3)
    assert len(result.trials) == 3
    said = capsys.readouterr().out
    assert said.count("front: trial") == len(result.front) > 0
    found = sorted(list(trial.values.values()) for trial in result.front)
    assert sorted(trial.values for trial in result.study.best_trials) == found


def test_a_resumed_sweep_computes_nothing_twice(shared: Path, overrides: list[str]) -> None:
    result = example("resume").main(shared, overrides)
    assert list(result.trials["status"]) == ["finished", "finished"]
    # the sweep above has trained both, in the same store
    assert set(result.trials["stages_computed"]) == {0}


def test_two_methods_are_compared(
    shared: Path, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    students = example("compare").main(shared, overrides)
    assert all(0 <= student["last_accuracy"] <= 1 for student in students.values())
    assert capsys.readouterr().out.count("last accuracy") == len(students) == 2


def test_a_retraining_is_run_after_each_delivery(
    tmp_path: Path,
    digits_cache: Path,
    new_database: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = example("retrain")
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    settings = {
        "experiment.data.cache_dir": digits_cache,
        "experiment.scenario.max_images_per_class": 20,
        "experiment.teacher.training.epochs": 1,
        "experiment.student.training.epochs": 1,
        "experiment.execution": "{kind: in_process, num_threads: 1, device: cpu}",
        "experiment.store.uri": tmp_path / "store",
        "experiment.tracking.uri": new_database(tmp_path),
        "experiment.tracking.models": "none",
        "experiment.tracking.spool": tmp_path / "spool",
        "source.settled_seconds": 0,
        # this gate promotes every candidate, however briefly trained
        "gate": "{margin: 1, max_taken: 1, min_new_accuracy: 0, min_agreement: 0}",
    }
    outcomes = module.main(tmp_path, [f"{path}={value}" for path, value in settings.items()])
    assert [outcome.outcome for outcome in outcomes] == ["promoted", "promoted"]
    assert [outcome.new_classes for outcome in outcomes] == [(0, 1), (2, 3)]
