"""Accuracies by class, the worst first."""

from collections.abc import Callable
from dataclasses import replace

from orchestrator.reporting.history.classes import class_table, spread_lines
from orchestrator.reporting.history.facts import History, Version
from orchestrator.retraining.class_accuracies import ClassAccuracies
from tests.made_up_history import days_ago


def test_rows_begin_with_the_champions_worst_class(history: History) -> None:
    table = class_table(history, "student")
    assert table is not None
    assert [version.student for version in table.versions] == [1, 2, 3, 4]
    # sorted by the champion's accuracies; only the rejected version knows classes 6 and 7
    assert [row.name for row in table.rows] == [f"class {label}" for label in range(7, -1, -1)]
    texts = [cell.text if cell else "" for cell in table.rows[-3].cells]
    assert (table.rows[-3].name, texts) == ("class 2", ["", "80.0", "80.0", "80.0"])
    assert {row.num_images for row in table.rows} == {10}


def test_a_class_without_held_out_images_has_an_empty_cell(history: History) -> None:
    champion = replace(
        history.versions[2],
        class_accuracies=ClassAccuracies(
            [0, 10, 10, 10, 10, 10], {"teacher": [0] * 6, "student": [0, 9, 9, 9, 9, 9]}
        ),
    )
    versions = [*history.versions[:2], champion]
    table = class_table(replace(history, champion=champion, versions=versions), "student")
    assert table is not None
    [row] = [row for row in table.rows if row.name == "class 0"]
    assert [cell.text if cell else "" for cell in row.cells] == ["100.0", "100.0", ""]


def test_of_a_thousand_classes_the_best_are_only_counted(
    history: History, new_version: Callable[..., Version]
) -> None:
    many = new_version(
        9,
        1,
        classes=[f"class {label}" for label in range(1000)],
        class_accuracies=ClassAccuracies(
            [1000] * 1000, {role: [*range(1000)] for role in ("teacher", "student")}
        ),
    )
    table = class_table(History("digits", many, [many]), "student")
    assert table is not None
    assert (len(table.rows), table.num_more, table.least_hidden) == (200, 800, 0.2)


def test_versions_without_recorded_classes_are_skipped(history: History) -> None:
    none = [replace(version, class_accuracies=None) for version in history.versions]
    assert class_table(replace(history, versions=none, champion=none[2]), "student") is None
    some = [*none[:2], history.versions[2]]
    table = class_table(replace(history, versions=some), "student")
    assert table is not None
    assert [version.student for version in table.versions] == [3]


def test_at_most_the_last_twelve_champions_are_columns(new_version: Callable[..., Version]) -> None:
    versions = [new_version(number, 100 - number) for number in range(1, 21)]
    table = class_table(History("digits", versions[-1], versions), "student")
    assert table is not None
    assert [version.student for version in table.versions] == [*range(9, 21)]
    assert versions[0].registered == days_ago(99)


def test_the_spread_is_of_champions_only(history: History) -> None:
    median, _, worst = spread_lines(history, "student")
    # by hand: 10 - n of 10 images are correct, with 2, 4 and 6 classes
    assert [*worst.points] == [(1, 0.9), (2, 0.7), (3, 0.5)]
    assert [(student, round(value, 3)) for student, value in median.points] == [
        (1, 0.95),
        (2, 0.85),
        (3, 0.75),
    ]
