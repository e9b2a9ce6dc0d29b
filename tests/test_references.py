"""The reference pages have every name of the program, and no other."""

import functools
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer.main
from pydantic import BaseModel

from orchestrator import output_files
from orchestrator.cli.application import COMMANDS, DATA_COMMANDS, build_application
from orchestrator.config import Experiment, Retraining, SearchSpace
from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.schema import models_in, values_of
from orchestrator.tracking import names

ROOT = Path(__file__).parents[1]
DOCS, PACKAGE = ROOT / "docs", ROOT / "orchestrator"


def page(path: str) -> str:
    return (DOCS / path).read_text(encoding="utf-8")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module that writes the reference of every configuration field."""
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
    text = page("reference/metrics.md")
    metrics = {
        *names.all_metrics(num_tasks=1),
        *names.UNLABELED_METRICS,
        *names.MONITORING_METRICS,
        *names.TRIAL_METRICS,
        names.trial_value("student/num_parameters"),
    }
    rows = " ".join(re.findall(r"^\| (`[^|]*) \|", text, flags=re.MULTILINE))
    shown = set(re.findall(r"`([\w./]+)`", rows))
    tags = {
        value
        for name, value in inspect.getmembers(names)
        if name.endswith("_TAG") and value.startswith("orchestrator.")
    }
    assert shown == metrics | tags


def test_the_page_of_files_has_every_file_that_a_run_or_a_sweep_leaves() -> None:
    text = page("reference/files.md")
    files = {value for name, value in inspect.getmembers(output_files) if name.endswith("_FILE")}
    files |= {output_files.seed_summary_file(7), output_files.front_file(7)}
    assert {file for file in files if file not in text} == set()


@pytest.mark.parametrize(
    "said",
    sorted(
        {
            said
            for term in re.findall(
                r"^\*\*(.+)\*\*$", page("guides/troubleshooting.md"), re.MULTILINE
            )
            if not term.startswith("the outcome")
            for said in re.findall(r"`([^`]+)`", term.partition(", followed")[0])
        }
    ),
)
def test_every_message_of_the_troubleshooting_page_is_in_the_program(said: str) -> None:
    assert re.sub(r"\W+", "", said) in _words_of_the_program()


@functools.cache
def _words_of_the_program() -> str:
    """Return all sources without whitespace and punctuation, as a line may end inside a message."""
    sources = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    return re.sub(r"\W+", "", re.sub(r"\"\s+f?\"", "", sources))
