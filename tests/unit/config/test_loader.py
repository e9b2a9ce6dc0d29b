"""Kinds of files are distinguished, and the command line can complete a search space."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orchestrator.config import (
    Experiment,
    SearchSpace,
    load_any,
    load_experiment,
    load_retraining,
    load_search_space,
)
from orchestrator.errors import ConfigError

SMALLEST = {
    "name": "small",
    "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}},
    "num_trials": 4,
}


@pytest.mark.parametrize(
    ("text", "kind"), [("name: digits", Experiment), (yaml.safe_dump(SMALLEST), SearchSpace)]
)
def test_parameters_distinguish_a_search_space_from_an_experiment(
    file: Path, text: str, kind: type
) -> None:
    file.write_text(text, encoding="utf-8")
    assert isinstance(load_any(file), kind)


def test_an_error_in_a_file_matches_the_files_kind(file: Path) -> None:
    file.write_text(
        "parameters: {student.temprature: {kind: uniform, low: 1, high: 2}}\nname:"
        " x\nnum_trials: 1",
        encoding="utf-8",
    )
    with pytest.raises(
        ConfigError,
        match=(
            r"parameters: student\.temprature is not a known key; did you mean"
            r" student\.temperature\?"
        ),
    ):
        load_any(file)
    file.write_text("sed: 1", encoding="utf-8")
    with pytest.raises(ConfigError, match="sed is not a known key; did you mean seed"):
        load_any(file)


def test_a_search_space_without_a_name_is_named_after_its_file(tmp_path: Path) -> None:
    file = tmp_path / "margins.yaml"
    file.write_text(
        "num_trials: 1\nparameters: {student.temperature: {kind: uniform, low: 1, high: 4}}\n"
    )
    assert load_search_space(file).name == "margins"


def test_num_trials_of_the_command_line_wins_even_if_the_file_has_none(tmp_path: Path) -> None:
    file = tmp_path / "open.yaml"
    file.write_text(
        "searcher: random\nparameters: {student.temperature: {kind: uniform, low: 1, high: 4}}\n"
    )
    assert load_search_space(file, num_trials=3).num_trials == 3


SPACE = "parameters: {student.temperature: {kind: uniform, low: 1, high: 2}}"
SWEEP = "use it as: orchestrator sweep FILE --experiment EXPERIMENT.yaml"
RETRAINING = "source: {path: incoming}"


@pytest.mark.parametrize(
    ("load", "text", "message"),
    [
        (
            load_experiment,
            SPACE,
            f"is a search space, not an experiment; {SWEEP}",
        ),
        (
            load_experiment,
            RETRAINING,
            "is a retraining, not an experiment; use it as: orchestrator retrain FILE",
        ),
        (
            load_search_space,
            RETRAINING,
            "is a retraining, not a search space; use it as: orchestrator retrain FILE",
        ),
        (
            load_retraining,
            SPACE,
            f"is a search space, not a retraining; {SWEEP}",
        ),
    ],
)
def test_a_file_of_another_kind_is_rejected_and_its_kind_is_named(
    file: Path, load: Callable[[Path], object], text: str, message: str
) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert str(refused.value) == f"{file}: {message.replace('FILE', str(file))}"


def test_an_empty_file_is_rejected(file: Path) -> None:
    file.write_text("# nothing yet\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match="is empty; write the settings that differ from the defaults"
    ):
        load_any(file)
