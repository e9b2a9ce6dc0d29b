"""What the pages say is so: commands of README and docs/ are known, snippets are valid, paths and
links exist, and references have every name.
"""

import ast
import functools
import importlib
import inspect
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
import typer.main
import yaml
from pydantic import BaseModel
from typer.core import TyperGroup

from orchestrator import output_files
from orchestrator.cli.application import COMMANDS, DATA_COMMANDS, build_application
from orchestrator.config import (
    Experiment,
    Retraining,
    SearchSpace,
    load_experiment,
    load_retraining,
    load_search_space,
)
from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.schema import models_in, values_of
from orchestrator.tracking import names
from orchestrator.tuning.space import Space

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "orchestrator"
FILES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PAGES = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
README, METHOD = PAGES["README.md"], PAGES["docs/method.md"]


def fenced(text: str) -> list[tuple[str, str]]:
    """Language and content of each code block, in order."""
    pattern = r"^```([\w-]*)[ \t]*\n(.*?)^```[ \t]*$"
    return re.findall(pattern, text, flags=re.MULTILINE | re.DOTALL)


def code_blocks(language: str) -> list[str]:
    """Code blocks of all pages in a language, each once."""
    found = [
        content for text in PAGES.values() for named, content in fenced(text) if named == language
    ]
    return list(dict.fromkeys(found))


def commands() -> list[str]:
    """`orchestrator …` lines of the pages' shell blocks, joined where they go on, without prompt,
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
    said = [shlex.join(shlex.split(match.group(1), comments=True)) for match in found if match]
    return list(dict.fromkeys(said))


def in_all_pages(pattern: str) -> list[str]:
    return sorted({found for text in PAGES.values() for found in re.findall(pattern, text)})


# --- commands -------------------------------------------------------------------------------------


def test_every_command_stands_on_a_page_and_every_one_that_does_exists() -> None:
    inline = in_all_pages(r"`orchestrator ([a-z]+)[ `]")
    shown = {shlex.split(command)[0] for command in commands()} - {"--version"}
    assert {*inline, *shown} == {*COMMANDS, "data"}


@pytest.mark.parametrize("command", commands())
def test_every_command_is_known_with_its_flags_and_files(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    if {"--help", "-h"} & set(words):
        return
    group = typer.main.get_group(build_application())
    if words[0] == "data":
        group, words = cast("TyperGroup", group.commands["data"]), words[1:]
    assert words[0] in group.commands
    parsed = group.commands[words[0]].make_context(words[0], words[1:])
    if words[0] in ("run", "plan"):
        experiment = parsed.params["experiment"]
        if str(experiment).startswith("examples/plugin/"):
            assert (ROOT / experiment).exists()  # its own tests install what it needs
        elif (ROOT / experiment).exists():
            load_experiment(experiment, parsed.params["overrides"] or [])
        else:
            assert not str(experiment).startswith("experiments/"), (
                "a page names an experiment that is not shipped"
            )
    if words[0] in ("retrain", "approve", "reject", "rollback"):
        load_retraining(parsed.params["retraining"], parsed.params["overrides"] or [])
    if words[0] == "sweep":
        load_search_space(parsed.params["search_space"], parsed.params["num_trials"])
        load_experiment(parsed.params["experiment"], parsed.params["overrides"] or [])


@pytest.mark.parametrize("target", in_all_pages(r"(?m)(?:^|`)make ([a-z][a-z-]*)"))
def test_every_make_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert target in re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)


# --- snippets, paths and links --------------------------------------------------------------------


@pytest.mark.parametrize("block", code_blocks("yaml"))
def test_every_configuration_file_is_valid(block: str) -> None:
    values = yaml.safe_load(block)
    if "parameters" in values:
        Space(SearchSpace.model_validate(values), Experiment())
    elif "source" in values:
        Retraining.model_validate(values | {"experiment": {}})
    else:
        Experiment.model_validate(values)


@pytest.mark.parametrize("block", code_blocks("python"))
def test_python_imports_what_exists(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                assert hasattr(importlib.import_module(node.module), name.name)


@pytest.mark.parametrize(
    "path",
    in_all_pages(
        r"`((?:orchestrator|experiments|search_spaces|benchmarks|docs|examples|k8s)/[\w./-]+)`"
    ),
)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / f"{path}.py").exists()


@pytest.mark.parametrize(
    ("page", "target"),
    sorted(
        {
            (page, target)
            for page, text in PAGES.items()
            for target in re.findall(r"\]\(((?!https?:)[^)#]+)", text)
        }
    ),
)
def test_every_link_leads_somewhere(page: str, target: str) -> None:
    """Also for who reads the pages in the repository; `make docs` checks anchors as well."""
    assert ((ROOT / page).parent / target).exists()


@pytest.mark.parametrize("path", in_all_pages(r"(?m)^\{\{ include (\S+) \}\}$"))
def test_every_included_file_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = [str(file.relative_to(DOCS)) for file in FILES[1:]]
    assert sorted(re.findall(r": (\S+\.md)$", navigation, flags=re.MULTILINE)) == sorted(pages)


def test_every_installation_names_an_extra_of_the_checkout() -> None:
    # the package is in no registry: its bare name would install nothing, or somebody else's
    sources = [
        *PAGES.values(),
        *(file.read_text() for file in PACKAGE.rglob("*.py")),
    ]
    assert [text for text in sources if "continual-orchestrator[" in text] == []
    named = set(re.findall(r"pip install '\.\[(\w+)\]'", "\n".join(sources)))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pretrained", "export"} <= named <= set(extras["optional-dependencies"])


def test_readme_is_short_and_begins_with_two_commands() -> None:
    assert len(README.splitlines()) <= 150
    assert re.findall(r"^make (\w+)", README, flags=re.MULTILINE) == ["demo", "test"]


# --- references -----------------------------------------------------------------------------------


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that writes the reference of every configuration field."""
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))
    monkeypatch.chdir(ROOT)
    return importlib.import_module("settings")


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("experiment", Experiment),
        ("retraining", Retraining),
        ("search-space", SearchSpace),
        ("cluster", ClusterConfig),
    ],
)
def test_the_reference_has_every_field_with_its_meaning(
    name: str, root: type[BaseModel], hook: ModuleType
) -> None:
    reference = hook.reference(name)
    missing = {
        f"{model.__name__}.{field}"
        for model in _models_below(root, set())
        for field in model.model_fields
        if field != "kind" and not re.search(rf"</span>`{field}`\n:   <small>.+</small>", reference)
    }
    assert missing == set()
    assert not re.search(r"<br>( See|$)", reference, flags=re.MULTILINE), "a field has no meaning"


def _models_below(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model in seen or (seen and model is Experiment):
        return seen
    seen.add(model)
    for field in model.model_fields.values():
        values = values_of(field.annotation)
        for inner in models_in(field.annotation if values is None else values):
            if inner.__module__.startswith("orchestrator.") and "Extension" not in inner.__name__:
                _models_below(inner, seen)
    return seen


def test_the_reference_has_every_command_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))
    reference = importlib.import_module("commands").reference()
    for name in (*COMMANDS, *(f"data {each}" for each in DATA_COMMANDS)):
        assert f"### `orchestrator {name}`" in reference
    options = {
        option
        for command in typer.main.get_group(build_application()).commands.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert {option for option in options if f"`{option}" not in reference} == set()


def test_the_page_of_metrics_has_every_metric_and_tag_and_no_other() -> None:
    page = PAGES["docs/reference/metrics.md"]
    metrics = {
        *names.all_metrics(num_tasks=1),
        *names.UNLABELED_METRICS,
        *names.MONITORING_METRICS,
        *names.TRIAL_METRICS,
        names.trial_value("student/num_parameters"),
    }
    rows = " ".join(re.findall(r"^\| (`[^|]*) \|", page, flags=re.MULTILINE))
    shown = set(re.findall(r"`([\w./]+)`", rows))
    tags = {
        value
        for name, value in inspect.getmembers(names)
        if name.endswith("_TAG") and value.startswith("orchestrator.")
    }
    assert shown == metrics | tags


def test_the_page_of_files_has_every_file_that_a_run_or_a_sweep_leaves() -> None:
    page = PAGES["docs/reference/files.md"]
    files = {value for name, value in inspect.getmembers(output_files) if name.endswith("_FILE")}
    files |= {output_files.seed_summary_file(7), output_files.front_file(7)}
    assert {file for file in files if file not in page} == set()


@pytest.mark.parametrize(
    "said",
    sorted(
        {
            said
            for term in re.findall(
                r"^\*\*(.+)\*\*$", PAGES["docs/guides/troubleshooting.md"], re.MULTILINE
            )
            if not term.startswith("the outcome")
            for said in re.findall(r"`([^`]+)`", term.partition(", followed")[0])
        }
    ),
)
def test_every_message_of_the_troubleshooting_page_is_one_of_the_program(said: str) -> None:
    assert re.sub(r"\W+", "", said) in _words_of_the_program()


@functools.cache
def _words_of_the_program() -> str:
    """All sources without what may stand between two words of a message: a line may end there."""
    sources = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    return re.sub(r"\W+", "", re.sub(r"\"\s+f?\"", "", sources))


# --- the method -----------------------------------------------------------------------------------


def test_every_section_of_the_method_that_docstrings_name_exists() -> None:
    sections = set(re.findall(r"^## (\d+)\.", METHOD, flags=re.MULTILINE))
    named = {
        section
        for file in PACKAGE.rglob("*.py")
        for section in re.findall(r"METHOD\s+§(\d+)", file.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= sections
