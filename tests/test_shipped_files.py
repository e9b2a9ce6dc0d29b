"""Everything shipped is a test case: experiment files, search spaces, targets of the Makefile."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from orchestrator.config import (
    Experiment,
    Retraining,
    SearchSpace,
    load_any,
    load_experiment,
    load_retraining,
    load_search_space,
)
from orchestrator.config.schema import values_of, variant_kinds
from orchestrator.tuning.sampler import Sampler
from orchestrator.tuning.space import Space

ROOT = Path(__file__).parents[1]
RETRAININGS = sorted((ROOT / "experiments").rglob("retraining_*.y*ml"))
EXPERIMENTS = sorted({*(ROOT / "experiments").rglob("*.y*ml")} - {*RETRAININGS})
SEARCH_SPACES = sorted((ROOT / "search_spaces").rglob("*.y*ml"))
LANGUAGE = (ROOT / "search_spaces" / "README.md").read_text(encoding="utf-8")


# --- experiments ----------------------------------------------------------------------------------


def test_the_default_experiment_is_shipped() -> None:
    assert ROOT / "experiments" / "digits.yaml" in EXPERIMENTS


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_experiment_is_valid_and_has_a_description(file: Path) -> None:
    assert load_experiment(file).name
    assert file.read_text(encoding="utf-8").startswith("#")


def test_the_default_experiment_runs_this_projects_method_on_five_tasks_of_two_digits() -> None:
    experiment = load_experiment(ROOT / "experiments" / "digits.yaml")
    assert (experiment.data.kind, experiment.method.kind, experiment.execution.kind) == (
        "digits",
        "dual_teacher",
        "ray",
    )
    assert (experiment.scenario.num_base_classes, experiment.scenario.classes_per_task) == (2, 2)
    assert experiment.scenario.class_order == tuple(range(10))


@pytest.mark.parametrize("file", RETRAININGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_retraining_is_valid_and_has_a_description(file: Path) -> None:
    assert isinstance(load_any(file), Retraining)
    learned = load_experiment(ROOT / "experiments" / "digits.yaml")
    experiment = load_retraining(file).experiment
    assert (experiment.name, experiment.method, experiment.teacher) == (
        learned.name,
        learned.method,
        learned.teacher,
    )
    assert experiment.student == learned.student
    assert file.read_text(encoding="utf-8").startswith("#")


# --- search spaces --------------------------------------------------------------------------------


def test_the_shipped_search_spaces_are_frozen() -> None:
    names = [
        "accuracy_and_size",
        "augmentation_learning_rate",
        "baselines",
        "everything",
        "push_pull_margins",
        "smoke",
        "tssr_rules",
        "tssr_thresholds",
    ]
    assert [file.stem for file in SEARCH_SPACES] == names


@pytest.mark.parametrize("file", SEARCH_SPACES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_search_space_fits_the_default_experiment_and_has_a_description(file: Path) -> None:
    search_space = load_any(file)
    assert isinstance(search_space, SearchSpace)
    assert search_space.name == file.stem
    assert file.read_text(encoding="utf-8").startswith("#")
    assert (
        Sampler(Space(search_space, load_experiment(ROOT / "experiments" / "digits.yaml"))).ask()
        is not None
    )
    assert f"| `{file.name}` |" in LANGUAGE


@pytest.mark.parametrize(
    ("search_space", "experiment"),
    [
        ("augmentation_learning_rate", "cifar10_pretrained"),
        ("push_pull_margins", "cifar10_pretrained"),
        ("tssr_rules", "noisy_labels"),
        ("tssr_rules", "unlabeled"),
        ("tssr_thresholds", "noisy_labels"),
        ("tssr_thresholds", "unlabeled"),
    ],
)
def test_a_search_space_fits_the_experiments_of_its_regime(
    search_space: str, experiment: str
) -> None:
    space = load_search_space(ROOT / "search_spaces" / f"{search_space}.yaml")
    learned = load_experiment(ROOT / "experiments" / f"{experiment}.yaml")
    assert Sampler(Space(space, learned)).ask() is not None
    assert f"`{experiment}.yaml`" in LANGUAGE


def test_the_baselines_are_all_methods_over_three_seeds() -> None:
    search_space = load_search_space(ROOT / "search_spaces" / "baselines.yaml")
    experiment = load_experiment(ROOT / "experiments" / "digits.yaml")
    methods = {point.parameters["method.kind"] for point in Space(search_space, experiment).grid()}
    assert methods == set(variant_kinds(Experiment.model_fields["method"].annotation))
    assert search_space.seeds == (0, 1, 2)


def test_the_guide_to_search_spaces_has_every_distribution_and_a_valid_example() -> None:
    kinds = variant_kinds(values_of(SearchSpace.model_fields["parameters"].annotation))
    assert set(re.findall(r"^\| `\{kind: (\w+),", LANGUAGE, flags=re.MULTILINE)) == set(kinds)
    blocks = re.findall(r"^```yaml\n(.*?)^```", LANGUAGE, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        Space(SearchSpace.model_validate(yaml.safe_load(block)), Experiment())


# --- Makefile ------------------------------------------------------------------------------------


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    answer = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"^  make (\S+) +\S", answer.stdout, flags=re.MULTILINE) == phony.split()


def test_every_numerical_test_of_the_makefile_exists() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory", "--eval", "listed: ; @echo $(NUMERICAL)", "listed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert listed
    assert [path for path in listed if not (ROOT / path).exists()] == []
