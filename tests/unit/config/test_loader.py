"""Telling the kinds of files apart, and what the command line adds to a search space."""

from pathlib import Path

import pytest
import yaml

from orchestrator.config import Experiment, SearchSpace, load_any, load_search_space
from orchestrator.errors import ConfigError

SMALLEST = {
    "name": "small",
    "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}},
    "num_trials": 4,
}


@pytest.mark.parametrize(
    ("text", "kind"), [("name: digits", Experiment), (yaml.safe_dump(SMALLEST), SearchSpace)]
)
def test_parameters_tell_a_search_space_from_an_experiment(
    file: Path, text: str, kind: type
) -> None:
    file.write_text(text, encoding="utf-8")
    assert isinstance(load_any(file), kind)


def test_a_wrong_file_is_told_as_what_it_is(file: Path) -> None:
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


def test_a_search_space_without_a_name_has_its_files(tmp_path: Path) -> None:
    file = tmp_path / "margins.yaml"
    file.write_text(
        "num_trials: 1\nparameters: {student.temperature: {kind: uniform, low: 1, high: 4}}\n"
    )
    assert load_search_space(file).name == "margins"


def test_a_number_of_trials_from_outside_wins_also_where_the_file_has_none(tmp_path: Path) -> None:
    file = tmp_path / "open.yaml"
    file.write_text(
        "searcher: random\nparameters: {student.temperature: {kind: uniform, low: 1, high: 4}}\n"
    )
    assert load_search_space(file, num_trials=3).num_trials == 3
