"""Wrong labels: which arrival gets them, their number, and their values."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import DataError, UserInputError
from orchestrator.retraining.backtest.wrong_labels import (
    choose_arrival,
    draw_wrong_labels,
    new_classes,
    read_labels,
    write_relabelled,
)


@given(
    labels=st.lists(st.sampled_from("abcd"), min_size=4, max_size=200).filter(
        lambda labels: len(set(labels)) > 1
    ),
    share=st.floats(0.01, 1.0),
)
def test_each_wrong_label_is_another_class_of_the_arrival(labels: list[str], share: float) -> None:
    wrong = draw_wrong_labels(labels, share, "0")
    assert wrong
    for position, label in wrong.items():
        assert label != labels[position]
        assert label in labels


@pytest.mark.parametrize(
    ("share", "num_wrong"),
    # at most three quarters of 100 labels of four classes
    [(0.05, 5), (0.2, 20), (0.75, 75), (1.0, 75), (0.001, 1)],
)
def test_the_configured_share_of_labels_is_wrong_up_to_random_labels(
    share: float, num_wrong: int
) -> None:
    assert len(draw_wrong_labels(list("abcd") * 25, share, "0")) == num_wrong


def test_with_two_classes_labels_become_random_instead_of_swapped() -> None:
    labels = ["a"] * 200 + ["b"] * 200
    wrong = draw_wrong_labels(labels, 1.0, "0")
    given_labels = [wrong.get(position, label) for position, label in enumerate(labels)]
    counts = Counter(given_labels[:200])
    # binomial: four standard deviations of 7.1 around 100
    assert 70 < counts["a"] < 130


def test_wrong_labels_depend_only_on_the_seed() -> None:
    labels = list("abc") * 30
    assert draw_wrong_labels(labels, 0.3, "1") == draw_wrong_labels(labels, 0.3, "1")
    assert draw_wrong_labels(labels, 0.3, "1") != draw_wrong_labels(labels, 0.3, "2")


def test_the_last_arrival_with_two_new_classes_gets_wrong_labels() -> None:
    classes = [{"0", "1"}, {"2", "3"}, {"2", "4", "5"}, {"6"}, {"0", "6"}]
    assert new_classes(classes) == [{"0", "1"}, {"2", "3"}, {"4", "5"}, {"6"}, set()]
    assert choose_arrival(classes, "/past") == 2


@pytest.mark.parametrize("classes", [[{"0", "1"}, {"2"}, {"3"}], [{"0", "1"}, {"0", "1"}]])
def test_without_such_an_arrival_wrong_labels_are_rejected(classes: list[set[str]]) -> None:
    with pytest.raises(UserInputError, match=r"/past: --wrong-labels .* --group-by week"):
        choose_arrival(classes, "/past")


@pytest.mark.parametrize(
    ("kind", "labels", "wrong", "expected"),
    [
        (pa.int64(), [4, 5, 4], {2: "5"}, [4, 5, 5]),
        (pa.string(), ["cat", "dog", "cat"], {0: "dog"}, ["dog", "dog", "cat"]),
        (
            pa.dictionary(pa.int32(), pa.string()),
            ["cat", "dog", "cat"],
            {0: "dog"},
            ["dog", "dog", "cat"],
        ),
    ],
    ids=["integers", "text", "dictionary"],
)
def test_a_relabelled_file_differs_only_in_these_labels(
    tmp_path: Path, kind: pa.DataType, labels: list[Any], wrong: dict[int, str], expected: list[Any]
) -> None:
    source, target = tmp_path / "day=1" / "right.parquet", tmp_path / "wrong.parquet"
    source.parent.mkdir()
    images = [b"one", b"two", b"three"]
    table = pa.table(
        {"image": images, "label": pa.array(labels, type=kind), "camera": ["x", "y", "z"]}
    )
    pq.write_table(table, source)
    os.utime(source, (1_700_000_000.5, 1_700_000_000.5))
    write_relabelled(source, target, wrong)
    with pq.ParquetFile(target) as written:
        found = written.read().to_pydict()
    assert found == {"image": images, "label": expected, "camera": ["x", "y", "z"]}
    assert target.stat().st_mtime == source.stat().st_mtime
    assert read_labels(source, "source") == [str(label) for label in labels]


def test_a_file_without_labels_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"one"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"s3://past/a\.parquet: has no column 'label'"):
        read_labels(tmp_path / "a.parquet", "s3://past/a.parquet")
