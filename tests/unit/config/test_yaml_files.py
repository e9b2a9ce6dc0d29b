"""YAML files are read; an error names the file and the line."""

from pathlib import Path

import pytest

from orchestrator.config import Experiment, load_experiment
from orchestrator.errors import ConfigError
from tests.unit.config.experiment_files import load, message


def test_an_empty_file_means_every_default(file: Path) -> None:
    assert load(file, "") == Experiment()
    assert load(file, "# nothing but a comment\n") == Experiment()


def test_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").touch()
    (tmp_path / "cifar.yml").touch()
    with pytest.raises(ConfigError) as error:
        load_experiment(tmp_path / "digit.yaml")
    assert (
        str(error.value)
        == f"{tmp_path}/digit.yaml: no such file; did you mean {tmp_path}/digits.yaml?"
    )


def test_a_missing_file_without_a_near_match_suggests_checking_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/x\.yaml: no such file; check the path"):
        load_experiment(tmp_path / "nowhere" / "x.yaml")


def test_a_file_that_is_no_text_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    for path in (tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(ConfigError, match="cannot be read") as error:
            load_experiment(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: a\nseed: [1", 2),
        ("name: a\n\tseed: 1", 2),
        ("name: a\nseed: 1\nname: b", 3),
        ("teacher:\n  num_views: 1\n  spread: {kind: scalar}\n  num_views: 2", 4),
        ("a: *unknown", 1),
        ("!!python/object:os.system x", 1),
    ],
    ids=["unclosed list", "tab", "key twice", "nested key twice", "unknown alias", "python object"],
)
def test_invalid_yaml_is_reported_with_file_and_line(file: Path, text: str, line: int) -> None:
    assert message(file, text).startswith(f"{file}: is not valid YAML: line {line}, ")


@pytest.mark.parametrize("value", ["2024-13-45", "0b_", "[" * 3000])
def test_a_value_that_yaml_cannot_parse_is_reported(file: Path, value: str) -> None:
    assert message(file, f"name: {value}").startswith(f"{file}: is not valid YAML: ")
    file.write_text("name: good")
    with pytest.raises(ConfigError, match="is not valid YAML; quote it"):
        load_experiment(file, [f"name={value}"])


def test_a_duplicate_key_is_named(file: Path) -> None:
    assert "duplicate key 'epochs' in a mapping" in message(
        file, "teacher: {training: {epochs: 1, epochs: 2}}"
    )


def test_a_file_without_a_mapping_is_reported(file: Path) -> None:
    assert "holds a list, not a mapping" in message(file, "- name: digits")


def test_a_missing_file_with_a_short_name_suggests_no_other(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").touch()
    with pytest.raises(ConfigError, match=r"e\.yaml: no such file; check the path"):
        load_experiment(tmp_path / "e.yaml")
