"""Classes arrive in order, in tasks; nothing of the test data is ever learned from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from orchestrator.config.data import ScenarioConfig
from orchestrator.data import ImageTable, Scenario, Split
from orchestrator.data.image_table import write_image_table
from orchestrator.data.scenario import build_scenario
from orchestrator.errors import DataError


def build(
    table: ImageTable,
    validation_fraction: float = 0.1,
    seed: int = 0,
    **config: Any,  # noqa: ANN401
) -> Scenario:
    return build_scenario(table, ScenarioConfig(**config), validation_fraction, seed)


def rows(scenario: Scenario, split: Split) -> set[int]:
    return {int(row) for of_class in scenario.indices[split] for row in of_class}


def small_table(
    folder: Path, counts: dict[str, tuple[int, int]], change: int | None = None
) -> ImageTable:
    """A table of 1x2x2 images with (training, test) images of each class; every pixel tells the
    row.
    """
    labels = [name for name, sizes in counts.items() for _ in range(sum(sizes))]
    is_test = np.asarray(
        [row >= sizes[0] for sizes in counts.values() for row in range(sum(sizes))], dtype=np.bool_
    )
    images = np.repeat(np.arange(len(labels), dtype=np.uint8), 4).reshape(-1, 1, 2, 2)
    if change is not None:
        images[change] += 100
    return write_image_table(folder / f"{change}.arrow", "small", images, labels, is_test)


# --- class order and tasks ------------------------------------------------------------------------


def test_classes_arrive_in_the_listed_order_and_the_unlisted_not_at_all(
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


def test_a_seed_shuffles_all_classes_and_always_in_the_same_way(digits_table: ImageTable) -> None:
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
def test_tasks_are_cut_and_the_last_may_be_smaller(
    digits_table: ImageTable, base: int, step: int, sizes: list[int]
) -> None:
    tasks = build(digits_table, num_base_classes=base, classes_per_task=step).tasks
    assert [len(task.new_classes) for task in tasks] == sizes
    assert [task.index for task in tasks] == list(range(len(sizes)))
    assert [c for task in tasks for c in task.new_classes] == list(range(10))
    assert [task.num_seen_classes for task in tasks] == np.cumsum(sizes).tolist()


def test_more_classes_than_there_are_is_an_error_with_the_numbers(digits_table: ImageTable) -> None:
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


def test_a_fraction_of_zero_sets_nothing_aside(digits_table: ImageTable) -> None:
    scenario = build(digits_table, validation_fraction=0.0)
    assert rows(scenario, Split.VALIDATION) == set()
    assert len(scenario.images_of(Split.VALIDATION, range(10))) == 0


def test_any_fraction_above_zero_sets_at_least_one_image_of_a_class_aside(tmp_path: Path) -> None:
    scenario = build(small_table(tmp_path, {"a": (4, 1), "b": (5, 1)}), 0.01, num_base_classes=2)
    assert [len(of_class) for of_class in scenario.indices[Split.VALIDATION]] == [1, 1]


def test_the_seed_decides_which_images_are_set_aside(digits_table: ImageTable) -> None:
    chosen = [rows(build(digits_table, seed=seed), Split.VALIDATION) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_the_limit_of_images_counts_only_after_the_first_task(digits_table: ImageTable) -> None:
    whole = build(digits_table, num_base_classes=3)
    limited = build(digits_table, num_base_classes=3, max_images_per_class=10)
    sizes = [len(of_class) for of_class in limited.indices[Split.TRAIN]]
    assert sizes[:3] == [len(of_class) for of_class in whole.indices[Split.TRAIN][:3]]
    assert sizes[3:] == [10] * 7
    assert rows(limited, Split.TRAIN) <= rows(whole, Split.TRAIN)
    for split in (Split.VALIDATION, Split.TEST):
        assert rows(limited, split) == rows(whole, split)


def test_the_seed_decides_which_images_are_kept_under_the_limit(digits_table: ImageTable) -> None:
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
            rf"class 'b' has no {split} images; add {split} images or leave it out of"
            r" scenario\.class_order"
        ),
    ):
        build(table, num_base_classes=1, classes_per_task=1)
    assert build(table, num_base_classes=1, class_order=["a"]).class_names == ("a",)


@pytest.mark.parametrize(("num_images", "fraction"), [(1, 0.0), (2, 0.1)])
def test_a_class_with_too_few_images_to_learn_from_is_named(
    tmp_path: Path, num_images: int, fraction: float
) -> None:
    with pytest.raises(DataError, match=f"class 'b' has {num_images} training images"):
        build(
            small_table(tmp_path, {"a": (4, 1), "b": (num_images, 1)}), fraction, num_base_classes=2
        )


def test_labels_of_a_task_are_as_the_source_has_them(
    tmp_path: Path, digits_table: ImageTable
) -> None:
    digits = build(digits_table, class_order=[7, "3", 1, 0])
    assert [digits.labels_of(task) for task in digits.tasks] == [[7, 3], [1, 0]]
    animals = build(small_table(tmp_path, {"7": (4, 1), "3": (4, 1)}), class_order=[7, 3])
    assert animals.labels_of(animals.tasks[0]) == ["7", "3"]


# --- images ---------------------------------------------------------------------------------------


def test_images_come_class_by_class_in_the_asked_order(tmp_path: Path) -> None:
    scenario = build(
        small_table(tmp_path, {"a": (3, 1), "b": (2, 2)}),
        0.0,
        num_base_classes=2,
        class_order=["a", "b"],
    )
    data = scenario.images_of(Split.TRAIN, [1, 0])
    assert data.labels.tolist() == [1, 1, 0, 0, 0]
    assert data.images[:, 0, 0, 0].tolist() == [4, 5, 0, 1, 2]
    assert data.images.dtype == torch.uint8
    assert (len(data), data.shape) == (5, (1, 2, 2))


def test_images_are_a_copy_that_may_be_changed(digits_table: ImageTable) -> None:
    scenario = build(digits_table)
    before = digits_table.images.copy()
    scenario.images_of(Split.TRAIN, [0]).images.fill_(7)
    assert np.array_equal(digits_table.images, before)


def is_in_a_file(images: torch.Tensor) -> bool:
    """Whether the kernel has a file for the memory at which a tensor lies."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(address, 16) for address in line.split()[0].split("-"))
        if start <= images.data_ptr() < end:
            return line.split()[4] != "0"
    return False


def test_images_that_are_too_many_for_memory_lie_on_disk_and_are_the_same(
    digits_table: ImageTable,
) -> None:
    files_before = {path.name for path in digits_table.path.parent.iterdir()}
    in_memory = build(digits_table)
    num_bytes = in_memory.images_of(Split.TRAIN, [0, 1]).images.numel()
    at_the_bound, bounded = (
        replace(in_memory, max_bytes=num_bytes),
        replace(in_memory, max_bytes=num_bytes - 1),
    )
    data, on_disk = (
        at_the_bound.images_of(Split.TRAIN, [0, 1]),
        bounded.images_of(Split.TRAIN, [0, 1]),
    )
    assert (is_in_a_file(data.images), is_in_a_file(on_disk.images)) == (False, True)
    assert torch.equal(data.images, on_disk.images)
    assert torch.equal(data.labels, on_disk.labels)
    assert bounded.fingerprint_of(bounded.tasks[0]) == in_memory.fingerprint_of(in_memory.tasks[0])
    files = {path.name for path in digits_table.path.parent.iterdir()}
    assert files == files_before, "what lies on disk has no name: it is gone with the process"


def test_exemplars_go_before_images_in_memory_and_on_disk(digits_table: ImageTable) -> None:
    exemplars = torch.full((2, 1, 8, 8), 7, dtype=torch.uint8)
    in_memory = build(digits_table).images_of(Split.TRAIN, [2, 3]).preceded_by(exemplars)
    on_disk = (
        replace(build(digits_table), max_bytes=1)
        .images_of(Split.TRAIN, [2, 3])
        .preceded_by(exemplars)
    )
    assert is_in_a_file(on_disk.images)
    assert torch.equal(on_disk.images, in_memory.images)
    assert on_disk.labels.tolist() == in_memory.labels.tolist()
    assert in_memory.labels.tolist()[:3] == [0, 1, 2]
    assert (in_memory.images[:2] == 7).all()


def test_no_exemplars_need_no_copy(digits_table: ImageTable) -> None:
    data = build(digits_table).images_of(Split.TRAIN, [0])
    assert data.preceded_by(data.images[:0]) is data


def test_images_get_another_size_in_memory_and_on_disk(digits_table: ImageTable) -> None:
    in_memory = build(digits_table).images_of(Split.TRAIN, [2, 3, 4])
    on_disk = replace(build(digits_table), max_bytes=1).images_of(Split.TRAIN, [2, 3, 4]).resized(5)
    assert len(on_disk) > 256, "more than are resized at once"
    wanted = (
        functional.interpolate(in_memory.images.float(), (5, 5), mode="bilinear", antialias=True)
        .round()
        .to(torch.uint8)
    )
    assert torch.equal(in_memory.resized(5).images, wanted)
    assert is_in_a_file(on_disk.images)
    assert torch.equal(on_disk.images, wanted)
    assert torch.equal(on_disk.labels, in_memory.labels)
    assert in_memory.resized(8) is in_memory


def test_targets_are_known_without_the_images(digits_table: ImageTable) -> None:
    scenario = build(digits_table)
    assert torch.equal(
        scenario.targets_of(Split.TRAIN, [3, 1]), scenario.images_of(Split.TRAIN, [3, 1]).labels
    )
    assert scenario.targets_of(Split.TRAIN, []).tolist() == []


def test_a_tasks_fingerprint_changes_only_with_its_own_training_images(tmp_path: Path) -> None:
    counts = {"a": (4, 2), "b": (4, 2), "c": (4, 2)}

    def fingerprints(change: int | None) -> list[str]:
        scenario = build(
            small_table(tmp_path, counts, change),
            0.0,
            num_base_classes=1,
            classes_per_task=1,
            class_order=["a", "b", "c"],
        )
        return [scenario.fingerprint_of(task) for task in scenario.tasks]

    original = fingerprints(None)
    # row 6 is the first training image of b, row 10 its first test image
    assert [new == old for new, old in zip(fingerprints(6), original, strict=True)] == [
        True,
        False,
        True,
    ]
    assert fingerprints(10) == original
    assert len(set(original)) == 3


def test_a_tasks_fingerprint_tells_classes_apart_that_swap_their_images(tmp_path: Path) -> None:
    table = small_table(tmp_path, {"a": (4, 1), "b": (4, 1)})
    orders = [build(table, 0.0, class_order=order) for order in (["a", "b"], ["b", "a"])]
    assert orders[0].fingerprint_of(orders[0].tasks[0]) != orders[1].fingerprint_of(
        orders[1].tasks[0]
    )
