"""Write experiment files for tests, and return their error messages."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Experiment, load_experiment
from orchestrator.errors import ConfigError


def load(file: Path, text: str, *overrides: str) -> Experiment:
    """Write a file and load it."""
    file.write_text(text, encoding="utf-8")
    return load_experiment(file, overrides)


def message(file: Path, text: str, *overrides: str) -> str:
    """Return the error message for a file that cannot be loaded."""
    with pytest.raises(ConfigError) as error:
        load(file, text, *overrides)
    assert error.value.exit_code == 2
    return str(error.value)


def value_at(experiment: Experiment, path: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Return the value at a dotted path."""
    node: Any = experiment
    for key in path.split("."):
        node = getattr(node, key)
    return node
