"""Everything shipped is a test case: experiment files, and the commands and examples of README."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from orchestrator.cli import app
from orchestrator.config import Experiment, load_experiment

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.y*ml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}[ \t]*\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """`orchestrator …` lines of README's shell blocks, joined where they go on, without prompt, path and comment."""
    blocks = [block for language in ("", "sh", "bash", "shell", "console") for block in code_blocks(language)]
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    found = [re.match(r"^(?:\$ )?(?:\S*/)?(?:python3? -m )?orchestrator (.*)", line) for line in lines]
    return [match.group(1) for match in found if match]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


# --- experiments -----------------------------------------------------------------------------------------------------


def test_the_default_experiment_is_shipped() -> None:
    assert ROOT / "experiments" / "digits.yaml" in EXPERIMENTS


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_experiment_is_valid_and_says_what_it_is(file: Path) -> None:
    assert load_experiment(file).name
    assert file.read_text(encoding="utf-8").startswith("#")


def test_the_default_experiment_runs_this_projects_method_on_five_tasks_of_two_digits() -> None:
    experiment = load_experiment(ROOT / "experiments" / "digits.yaml")
    assert (experiment.data.kind, experiment.method.kind, experiment.execution.kind) == ("digits", "dual_teacher", "ray")
    assert (experiment.scenario.num_base_classes, experiment.scenario.classes_per_task) == (2, 2)
    assert experiment.scenario.class_order == tuple(range(10))


# --- README ----------------------------------------------------------------------------------------------------------


def test_readme_shows_the_command_line() -> None:
    assert any(command.startswith("run ") for command in commands())


@pytest.mark.parametrize("command", commands())
def test_every_command_of_readme_is_known_with_its_flags_and_files(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command, comments=True)
    if {"--help", "-h"} & set(words):
        return
    group = typer.main.get_group(app)
    assert words[0] in group.commands
    parsed = group.commands[words[0]].make_context(words[0], words[1:])
    if words[0] == "run":
        experiment = parsed.params["experiment"]
        if (ROOT / experiment).exists():
            load_experiment(experiment, parsed.params["overrides"] or [])
        else:
            assert not str(experiment).startswith("experiments/"), "README names an experiment that is not shipped"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z]+)", "\n".join(code_blocks("")), flags=re.MULTILINE))))
def test_every_make_target_of_readme_exists(target: str) -> None:
    assert target in make_targets()


@pytest.mark.parametrize("block", code_blocks("yaml"))
def test_every_experiment_in_readme_is_valid(block: str) -> None:
    Experiment.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize("block", code_blocks("python"))
def test_the_python_of_readme_imports_what_exists(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                assert hasattr(importlib.import_module(node.module), name.name)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:orchestrator|experiments|benchmarks|docs)/[\w./-]+)`", README))))
def test_every_path_in_readme_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / f"{path}.py").exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))))
def test_every_link_of_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
