"""Classes arrive in order, in tasks; test data are never trained on."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.data import ImageTable, Split
from orchestrator.errors import DataError
from tests.unit.data.scenarios import build, rows, small_table

# --- class order and tasks ------------------------------------------------------------------------


def test_listed_classes_arrive_in_order_and_unlisted_ones_are_excluded(
    digits_table: ImageTable,
) -> None:
    scenario = build(digits_table, class_order=[7, 3, "1", 9])
    assert scenario.class_names == ("7", "3", "1", "9")
    data = scenario.images_of(Split.TEST, range(4))
    for position, name in enumerate(scenario.class_names):
        expected = digits_table.images[(digits_table.labels == name) & digits_table.is_test]
        assert np.array_equal(data.images[data.labels == position].numpy(), expected)
    assert rows(scenario, Split.TRAIN) <= set(
        np.flatnonzero(np.isin(digits_table.labels, ["7", "3", "1", "9"])).tolist()
    )


def test_a_seed_shuffles_all_classes_reproducibly(digits_table: ImageTable) -> None:
    orders = [build(digits_table, class_order=seed).class_names for seed in (0, 0, 1, 2)]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3
    assert all(sorted(order) == [str(digit) for digit in range(10)] for order in orders)


def test_the_class_order_does_not_depend_on_the_experiments_seed(digits_table: ImageTable) -> None:
    assert build(digits_table, seed=0).class_names == build(digits_table, seed=1).class_names


@pytest.mark.parametrize(
    ("base", "step", "sizes"),
    [
        (2, 2, [2, 2, 2, 2, 2]),
        (4, 3, [4, 3, 3]),
        (2, 3, [2, 3, 3, 2]),
        (5, 4, [5, 4, 1]),
        (10, 2, [10]),
        (1, 9, [1, 9]),
        (9, 1, [9, 1]),
    ],
)
def test_classes_are_split_into_tasks_and_the_last_may_be_smaller(
    digits_table: ImageTable, base: int, step: int, sizes: list[int]
) -> None:
    tasks = build(digits_table, num_base_classes=base, classes_per_task=step).tasks
    assert [len(task.new_classes) for task in tasks] == sizes
    assert [task.index for task in tasks] == list(range(len(sizes)))
    assert [c for task in tasks for c in task.new_classes] == list(range(10))
    assert [task.num_seen_classes for task in tasks] == np.cumsum(sizes).tolist()


def test_more_classes_than_available_is_an_error_with_both_numbers(
    digits_table: ImageTable,
) -> None:
    with pytest.raises(
        DataError,
        match="num_base_classes = 11, but there are only 10 classes; set it to at most 10",
    ):
        build(digits_table, num_base_classes=11)
    with pytest.raises(
        DataError,
        match=(
            "classes_per_task = 9, but only 8 of 10 classes are left after the first task; set it"
            " to at most 8"
        ),
    ):
        build(digits_table, classes_per_task=9)


def test_an_unknown_label_suggests_the_nearest(tmp_path: Path) -> None:
    table = small_table(tmp_path, {"tiger": (4, 1), "zebra": (4, 1)})
    with pytest.raises(DataError, match="has no label 'tigre'; did you mean tiger"):
        build(table, num_base_classes=1, class_order=["tigre", "zebra"])
    with pytest.raises(DataError, match="has no label 5; labels are tiger, zebra"):
        build(table, num_base_classes=1, class_order=[5, "zebra"])


# --- splits ---------------------------------------------------------------------------------------


def test_validation_images_are_taken_from_the_training_images_only(
    digits_table: ImageTable,
) -> None:
    scenario = build(digits_table, validation_fraction=0.2)
    train, validation, test = (
        rows(scenario, split) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
    )
    assert not train & validation
    assert test == set(np.flatnonzero(digits_table.is_test).tolist())
    assert train | validation == set(np.flatnonzero(~digits_table.is_test).tolist())
    for learned, held_out in zip(
        scenario.indices[Split.TRAIN], scenario.indices[Split.VALIDATION], strict=True
    ):
        assert len(held_out) == round(0.2 * (len(learned) + len(held_out)))


def test_a_validation_fraction_of_zero_gives_no_validation_images(digits_table: ImageTable) -> None:
    scenario = build(digits_table, validation_fraction=0.0)
    assert rows(scenario, Split.VALIDATION) == set()
    assert len(scenario.images_of(Split.VALIDATION, range(10))) == 0


def test_any_validation_fraction_above_zero_takes_at_least_one_image_of_a_class(
    tmp_path: Path,
) -> None:
    scenario = build(small_table(tmp_path, {"a": (4, 1), "b": (5, 1)}), 0.01, num_base_classes=2)
    assert [len(of_class) for of_class in scenario.indices[Split.VALIDATION]] == [1, 1]


def test_the_seed_selects_the_validation_images(digits_table: ImageTable) -> None:
    chosen = [rows(build(digits_table, seed=seed), Split.VALIDATION) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_the_limit_of_images_applies_only_after_the_first_task(digits_table: ImageTable) -> None:
    whole = build(digits_table, num_base_classes=3)
    limited = build(digits_table, num_base_classes=3, max_images_per_class=10)
    sizes = [len(of_class) for of_class in limited.indices[Split.TRAIN]]
    assert sizes[:3] == [len(of_class) for of_class in whole.indices[Split.TRAIN][:3]]
    assert sizes[3:] == [10] * 7
    assert rows(limited, Split.TRAIN) <= rows(whole, Split.TRAIN)
    for split in (Split.VALIDATION, Split.TEST):
        assert rows(limited, split) == rows(whole, split)


def test_the_first_task_has_its_own_limit(digits_table: ImageTable) -> None:
    limited = build(
        digits_table, num_base_classes=3, max_images_per_base_class=7, max_images_per_class=10
    )
    assert [len(of_class) for of_class in limited.indices[Split.TRAIN]] == 3 * [7] + 7 * [10]
    only_base = build(digits_table, num_base_classes=3, max_images_per_base_class=7)
    whole = build(digits_table, num_base_classes=3)
    for c, (few, many) in enumerate(
        zip(only_base.indices[Split.TRAIN], whole.indices[Split.TRAIN], strict=True)
    ):
        assert set(few) < set(many) if c < 3 else np.array_equal(few, many)


def test_the_seed_selects_the_images_kept_under_the_limit(digits_table: ImageTable) -> None:
    kept = [
        rows(
            build(digits_table, validation_fraction=0.0, seed=seed, max_images_per_class=10),
            Split.TRAIN,
        )
        for seed in (0, 0, 1)
    ]
    assert kept[0] == kept[1] != kept[2]


@pytest.mark.parametrize(("counts", "split"), [((4, 0), "test"), ((0, 4), "training")])
def test_a_class_missing_from_a_split_is_named(
    tmp_path: Path, counts: tuple[int, int], split: str
) -> None:
    table = small_table(tmp_path, {"a": (4, 1), "b": counts})
    with pytest.raises(
        DataError,
        match=(
            rf"class 'b' has no {split} images; add {split} images or remove the class from"
            r" scenario\.class_order"
        ),
    ):
        build(table, num_base_classes=1, classes_per_task=1)
    assert build(table, num_base_classes=1, class_order=["a"]).class_names == ("a",)


@pytest.mark.parametrize(("num_images", "fraction"), [(1, 0.0), (2, 0.1)])
def test_a_class_with_too_few_training_images_is_named(
    tmp_path: Path, num_images: int, fraction: float
) -> None:
    with pytest.raises(DataError, match=f"class 'b' has {num_images} training images"):
        build(
            small_table(tmp_path, {"a": (4, 1), "b": (num_images, 1)}), fraction, num_base_classes=2
        )
