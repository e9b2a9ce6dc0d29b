"""Predictions counted by class, against a case worked by hand, and their file."""

import pytest

from orchestrator.evaluation.confusion import (
    Confusion,
    as_csv,
    count_confusions,
    from_csv,
    most_pairs,
)

NAMES = ["cat", "=dog", "emu"]
# cat: 2 of 3 correct, one predicted as dog; dog: 0 of 2, both as emu; emu: 1 of 1
LABELS, ANSWERS = [0, 0, 0, 1, 1, 2], [0, 1, 0, 2, 2, 2]


def rows(most: int = 10) -> list[Confusion]:
    return count_confusions((2, "student"), LABELS, ANSWERS, NAMES, most)


def test_correct_predictions_of_each_class_come_first_then_the_most_frequent_confusions() -> None:
    assert rows() == [
        Confusion(2, "student", "cat", "cat", 2, 3),
        Confusion(2, "student", "=dog", "=dog", 0, 2),
        Confusion(2, "student", "emu", "emu", 1, 1),
        Confusion(2, "student", "=dog", "emu", 2, 2),
        Confusion(2, "student", "cat", "=dog", 1, 3),
    ]


def test_accuracies_survive_the_file_and_the_worst_confusion_comes_first() -> None:
    answers = from_csv(as_csv(rows()))[2]["student"]
    assert [answers.accuracy(name) for name in (*NAMES, "fox")] == [2 / 3, 0.0, 1.0, None]
    assert [(it.label, it.predicted) for it in answers.wrong] == [("=dog", "emu"), ("cat", "=dog")]
    assert answers.is_complete
    assert from_csv("") == {}
    with pytest.raises(ValueError, match="has no column"):
        from_csv("a,b\n1,2\n")


def test_truncated_confusions_are_known_to_be_and_accuracies_stay_exact() -> None:
    answers = from_csv(as_csv(rows(most=1)))[2]["student"]
    assert not answers.is_complete
    assert len(answers.wrong) == 1
    assert answers.accuracy("cat") == 2 / 3


def test_the_file_stays_small_with_many_tasks() -> None:
    assert most_pairs(1) == 50_000
    assert most_pairs(10) == 5000
    assert most_pairs(1000) == 1000
