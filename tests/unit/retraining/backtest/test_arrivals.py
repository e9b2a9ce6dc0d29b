"""Past files as arrivals, and orders of arrivals."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.data.growing_folder import SourceFile
from orchestrator.errors import UserInputError
from orchestrator.retraining.backtest.arrivals import find_arrivals, group_files, orders_of


def file(name: str, *moment: int) -> SourceFile:
    return SourceFile(name, 10, datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


FILES = [
    file("b/2.parquet", 2026, 11, 23, 0, 10),
    file("a/1.parquet", 2026, 11, 22, 23, 50),
    file("a/3.parquet", 2026, 11, 23, 9, 0),
    file("top.parquet", 2026, 12, 1, 9, 0),
]


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        (
            "day",
            {
                "2026-11-22": ["a/1.parquet"],
                "2026-11-23": ["a/3.parquet", "b/2.parquet"],
                "2026-12-01": ["top.parquet"],
            },
        ),
        (
            "hour",
            {
                "2026-11-22 23:00": ["a/1.parquet"],
                "2026-11-23 00:00": ["b/2.parquet"],
                "2026-11-23 09:00": ["a/3.parquet"],
                "2026-12-01 09:00": ["top.parquet"],
            },
        ),
        # 22 November 2026 is a Sunday, the last day of its ISO week
        (
            "week",
            {
                "2026-W47": ["a/1.parquet"],
                "2026-W48": ["a/3.parquet", "b/2.parquet"],
                "2026-W49": ["top.parquet"],
            },
        ),
        (
            "file",
            {
                "a/1.parquet": ["a/1.parquet"],
                "b/2.parquet": ["b/2.parquet"],
                "a/3.parquet": ["a/3.parquet"],
                "top.parquet": ["top.parquet"],
            },
        ),
        (
            "folder",
            {
                ".": ["top.parquet"],
                "a": ["a/1.parquet", "a/3.parquet"],
                "b": ["b/2.parquet"],
            },
        ),
    ],
)
def test_files_of_one_group_are_one_arrival_and_arrivals_are_sorted_by_date(
    group_by: str, expected: dict[str, list[str]]
) -> None:
    found = group_files(FILES, group_by)  # type: ignore[arg-type]
    assert {arrival.name: [it.name for it in arrival.files] for arrival in found} == expected
    assert [arrival.name for arrival in found] == list(expected)


def test_the_date_of_an_arrival_is_that_of_its_last_file() -> None:
    second = group_files(FILES, "day")[1]
    assert second.date == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "is empty; name the folder of past arrivals"),
        (["notes.txt", "more.csv"], "holds no Parquet file (2 other files)"),
        (["a.parquet"], "holds one arrival (2026-11-22); a backtest needs two or more; put the"),
        (
            ["a.parquet", "b.parquet"],
            "needs two or more; separate the arrival's files with --group",
        ),
    ],
)
def test_a_folder_without_two_arrivals_is_rejected_with_the_next_step(
    tmp_path: Path, names: list[str], message: str
) -> None:
    written = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (written, written))
    with pytest.raises(UserInputError) as error:
        find_arrivals(str(tmp_path), "day")
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_missing_folder_names_the_option() -> None:
    with pytest.raises(UserInputError, match="--backtest"):
        find_arrivals("/nonesuch/arrivals", "day")


def test_without_a_number_of_orders_arrivals_are_in_order_of_date() -> None:
    assert orders_of(4, None, seed=7) == [(0, 1, 2, 3)]


def test_shuffled_orders_are_different_permutations_determined_by_the_seed() -> None:
    orders = orders_of(5, 10, seed=7)
    assert len(set(orders)) == 10
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert orders == orders_of(5, 10, seed=7)
    assert orders != orders_of(5, 10, seed=8)


def test_there_are_at_most_as_many_orders_as_permutations() -> None:
    assert sorted(orders_of(2, 50, seed=0)) == [(0, 1), (1, 0)]
