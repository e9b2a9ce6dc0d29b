"""Accuracies by class are counted, written next to a lineage, and read back."""

from pathlib import Path

import pytest

from orchestrator.retraining.class_accuracies import (
    CLASS_ACCURACIES_FILE,
    ClassAccuracies,
    class_accuracies,
    read_class_accuracies,
    write_class_accuracies,
)

# by hand: class 0 has three images, class 1 none, class 2 two
LABELS = [0, 2, 0, 0, 2]
PREDICTIONS = {"teacher": [0, 2, 0, 0, 2], "student": [0, 0, 2, 0, 2]}


def counted() -> ClassAccuracies:
    return class_accuracies(LABELS, PREDICTIONS)  # type: ignore[arg-type]


def test_each_class_has_its_share_of_correct_predictions() -> None:
    found = counted()
    assert [*found.num_images] == [3, 0, 2]
    assert [found.accuracy("teacher", label) for label in (0, 2)] == [1.0, 1.0]
    assert found.accuracy("student", 0) == pytest.approx(2 / 3)
    assert found.accuracy("student", 2) == 0.5


def test_a_class_without_an_image_has_no_accuracy() -> None:
    assert counted().accuracy("student", 1) is None


def test_written_accuracies_are_read_back(tmp_path: Path) -> None:
    write_class_accuracies(tmp_path / "state", counted())
    assert read_class_accuracies(tmp_path / "state" / CLASS_ACCURACIES_FILE) == counted()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '{"num_images": [1, 2], "num_correct": {"teacher": [1], "student": [1, 2]}}',
        '{"num_images": [1], "num_correct": {"teacher": [1]}}',
    ],
)
def test_a_damaged_file_gives_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / CLASS_ACCURACIES_FILE
    path.write_text(content)
    assert read_class_accuracies(path) is None
