"""Everything shipped is a test case: experiment files, search spaces, and the commands and examples
of README.
"""

import ast
import importlib
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import cast

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from orchestrator.cli.application import build_application
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
README = (ROOT / "README.md").read_text(encoding="utf-8")
LANGUAGE = (ROOT / "search_spaces" / "README.md").read_text(encoding="utf-8")
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}[ \t]*\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """`orchestrator …` lines of README's shell blocks, joined where they go on, without prompt,
    path and comment.
    """
    blocks = [
        block
        for language in ("", "sh", "bash", "shell", "console")
        for block in code_blocks(language)
    ]
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    found = [
        re.match(r"^(?:\$ )?(?:\S*/)?(?:python3? -m )?orchestrator (.*)", line) for line in lines
    ]
    return [match.group(1) for match in found if match]


def make_targets() -> set[str]:
    return set(
        re.findall(
            r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    )


# --- experiments ----------------------------------------------------------------------------------


def test_the_default_experiment_is_shipped() -> None:
    assert ROOT / "experiments" / "digits.yaml" in EXPERIMENTS


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_experiment_is_valid_and_says_what_it_is(file: Path) -> None:
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
def test_every_retraining_is_valid_and_says_what_it_is(file: Path) -> None:
    assert isinstance(load_any(file), Retraining)
    learned = load_experiment(ROOT / "experiments" / "digits.yaml")
    experiment = load_retraining(file).experiment
    assert (experiment.name, experiment.method, experiment.teacher) == (
        learned.name,
        learned.method,
        learned.teacher,
    )
    assert experiment.student == learned.student.model_copy(update={"rehearsal": 0})
    assert file.read_text(encoding="utf-8").startswith("#")


# --- search spaces --------------------------------------------------------------------------------


def test_search_spaces_are_these() -> None:
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
def test_every_search_space_fits_the_default_experiment_and_says_what_it_is(file: Path) -> None:
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


def test_baselines_are_all_methods_over_three_seeds() -> None:
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


# --- README ---------------------------------------------------------------------------------------


def test_readme_shows_the_command_line() -> None:
    assert any(command.startswith("run ") for command in commands())


@pytest.mark.parametrize("command", commands())
def test_every_command_of_readme_is_known_with_its_flags_and_files(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command, comments=True)
    if {"--help", "-h"} & set(words):
        return
    group = typer.main.get_group(build_application())
    if words[0] == "data":
        group, words = cast("TyperGroup", group.commands["data"]), words[1:]
    assert words[0] in group.commands
    parsed = group.commands[words[0]].make_context(words[0], words[1:])
    if words[0] == "run":
        experiment = parsed.params["experiment"]
        if (ROOT / experiment).exists():
            load_experiment(experiment, parsed.params["overrides"] or [])
        else:
            assert not str(experiment).startswith("experiments/"), (
                "README names an experiment that is not shipped"
            )
    if words[0] in ("retrain", "approve", "reject", "rollback"):
        load_retraining(parsed.params["retraining"], parsed.params["overrides"] or [])
    if words[0] == "sweep":
        load_search_space(parsed.params["search_space"], parsed.params["num_trials"])
        load_experiment(parsed.params["experiment"], parsed.params["overrides"] or [])


@pytest.mark.parametrize(
    "target",
    sorted(set(re.findall(r"^make ([a-z]+)", "\n".join(code_blocks("")), flags=re.MULTILINE))),
)
def test_every_make_target_of_readme_exists(target: str) -> None:
    assert target in make_targets()


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


@pytest.mark.parametrize("block", code_blocks("yaml"))
def test_every_file_in_readme_is_valid(block: str) -> None:
    values = yaml.safe_load(block)
    if "parameters" in values:
        Space(SearchSpace.model_validate(values), Experiment())
    elif "source" in values:
        Retraining.model_validate(values | {"experiment": {}})
    else:
        Experiment.model_validate(values)


@pytest.mark.parametrize("block", code_blocks("python"))
def test_the_python_of_readme_imports_what_exists(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                assert hasattr(importlib.import_module(node.module), name.name)


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:orchestrator|experiments|benchmarks|docs)/[\w./-]+)`", README))),
)
def test_every_path_in_readme_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / f"{path}.py").exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))))
def test_every_link_of_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_installation_names_an_extra_of_the_checkout() -> None:
    # the package is in no registry: its bare name would install nothing, or somebody else's
    sources = [README, *(file.read_text() for file in (ROOT / "orchestrator").rglob("*.py"))]
    assert [text for text in sources if "continual-orchestrator[" in text] == []
    named = set(re.findall(r"pip install '\.\[(\w+)\]'", "\n".join(sources)))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pretrained", "export"} <= named <= set(extras["optional-dependencies"])


# --- the method -----------------------------------------------------------------------------------


def test_every_section_of_the_method_that_docstrings_name_exists() -> None:
    sections = set(re.findall(r"^## (\d+)\.", METHOD, flags=re.MULTILINE))
    named = {
        section
        for file in (ROOT / "orchestrator").rglob("*.py")
        for section in re.findall(r"METHOD\s+§(\d+)", file.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= sections


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", METHOD))))
def test_every_link_of_the_method_leads_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:orchestrator|experiments|search_spaces)/[\w./-]+)`", METHOD))),
)
def test_every_path_in_the_method_exists(path: str) -> None:
    assert (ROOT / path).exists()
