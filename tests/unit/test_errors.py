"""Errors cross process borders and determine the exit code."""

import pickle
import re
from pathlib import Path

import pytest

from orchestrator import errors
from orchestrator.errors import OrchestratorError


def all_error_classes(
    root: type[OrchestratorError] = OrchestratorError,
) -> list[type[OrchestratorError]]:
    return [root, *(found for child in root.__subclasses__() for found in all_error_classes(child))]


@pytest.mark.parametrize("error_class", all_error_classes())
def test_every_error_pickles_and_keeps_its_text_and_exit_code(
    error_class: type[OrchestratorError],
) -> None:
    error = error_class("is wrong", where="file.yaml", next_step="correct it")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is error_class
    assert str(copy) == "file.yaml: is wrong; correct it"
    assert (copy.what, copy.where, copy.next_step) == ("is wrong", "file.yaml", "correct it")
    assert copy.exit_code == error.exit_code
    assert copy.is_retryable == error.is_retryable


def test_every_error_is_defined_in_one_file_and_drawn_in_its_docstring() -> None:
    file = Path(str(errors.__file__))
    bases = "|".join(re.findall(r"^class (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    derived = re.compile(rf"^class \w+\((?:{bases})\)", re.MULTILINE)
    assert [
        path
        for path in file.parent.rglob("*.py")
        if derived.search(path.read_text(encoding="utf-8"))
    ] == [file]
    assert set(re.findall(r"\w+Error\b", str(errors.__doc__).split("```")[1])) == set(
        bases.split("|")
    )


def test_an_error_without_place_and_advice_shows_only_its_message() -> None:
    assert str(OrchestratorError("is wrong")) == "is wrong"


def test_exit_codes_and_retryability_match_the_contract() -> None:
    assert {
        c.__name__: (c.exit_code, c.is_retryable)
        for c in all_error_classes()
        if c.__module__ == errors.__name__
    } == {
        "OrchestratorError": (1, False),
        "UserInputError": (2, False),
        "ConfigError": (2, False),
        "DataError": (2, False),
        "NoImagesError": (2, False),
        "LoginRequiredError": (2, False),
        "RightMissingError": (2, False),
        "TransientError": (3, True),
        "StorageUnavailableError": (3, True),
        "TrackingUnavailableError": (3, True),
        "ClusterUnavailableError": (3, True),
        "LaneLostError": (3, True),
        "LockedError": (3, True),
        "LeaseLostError": (3, True),
        "NotConvertibleError": (2, False),
        "ModelNotExportableError": (2, False),
        "LaneFailedError": (1, False),
        "DifferentOutputsError": (1, False),
        "InterruptedRunError": (130, False),
    }
