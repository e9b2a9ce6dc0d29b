"""The pages are correct: commands of README and docs/ are known, snippets are valid, paths and
links exist.
"""

import ast
import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import cast

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from orchestrator.cli.application import COMMANDS, build_application
from orchestrator.config import (
    Experiment,
    Retraining,
    SearchSpace,
    load_experiment,
    load_retraining,
    load_search_space,
)
from orchestrator.tuning.space import Space

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "orchestrator"
FILES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PAGES = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
README, METHOD = PAGES["README.md"], PAGES["docs/method.md"]


def fenced(text: str) -> list[tuple[str, str]]:
    """Return language and content of each code block, in order."""
    pattern = r"^```([\w-]*)[ \t]*\n(.*?)^```[ \t]*$"
    return re.findall(pattern, text, flags=re.MULTILINE | re.DOTALL)


def code_blocks(language: str) -> list[str]:
    """Return the code blocks of all pages in a language, each once."""
    found = [
        content for text in PAGES.values() for named, content in fenced(text) if named == language
    ]
    return list(dict.fromkeys(found))


def commands() -> list[str]:
    """Return the `orchestrator …` lines of the pages' shell blocks, with continuation lines joined
    and without prompt, path and comment.
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


def test_pages_name_every_command_and_no_other() -> None:
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
            assert (ROOT / experiment).exists()  # its own tests install its requirements
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
def test_every_configuration_snippet_is_valid(block: str) -> None:
    values = yaml.safe_load(block)
    if "parameters" in values:
        Space(SearchSpace.model_validate(values), Experiment())
    elif "source" in values:
        Retraining.model_validate(values | {"experiment": {}})
    else:
        Experiment.model_validate(values)


@pytest.mark.parametrize("block", code_blocks("python"))
def test_python_snippets_import_existing_names(block: str) -> None:
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
def test_every_link_has_an_existing_target(page: str, target: str) -> None:
    """Links also work for readers of the repository; `make docs` checks anchors as well."""
    assert ((ROOT / page).parent / target).exists()


@pytest.mark.parametrize("path", in_all_pages(r"(?m)^\{\{ include (\S+) \}\}$"))
def test_every_included_file_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = [str(file.relative_to(DOCS)) for file in FILES[1:]]
    assert sorted(re.findall(r": (\S+\.md)$", navigation, flags=re.MULTILINE)) == sorted(pages)


def test_every_installation_names_an_extra_of_the_checkout() -> None:
    # the package is in no registry: its bare name would install nothing, or a stranger's package
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


# --- the method -----------------------------------------------------------------------------------


def test_every_section_of_the_method_that_docstrings_name_exists() -> None:
    sections = set(re.findall(r"^## (\d+)\.", METHOD, flags=re.MULTILINE))
    named = {
        section
        for file in PACKAGE.rglob("*.py")
        for section in re.findall(r"docs/method\.md,\s+section (\d+)", file.read_text("utf-8"))
    }
    assert named
    assert named <= sections
