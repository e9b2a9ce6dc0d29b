"""A scenario gives images, labels and fingerprints of its tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from orchestrator.data import ImageTable, Split
from tests.unit.data.scenarios import build, is_in_a_file, small_table


def test_labels_of_a_task_equal_those_of_the_source(
    tmp_path: Path, digits_table: ImageTable
) -> None:
    digits = build(digits_table, class_order=[7, "3", 1, 0])
    assert [digits.labels_of(task) for task in digits.tasks] == [[7, 3], [1, 0]]
    animals = build(small_table(tmp_path, {"7": (4, 1), "3": (4, 1)}), class_order=[7, 3])
    assert animals.labels_of(animals.tasks[0]) == ["7", "3"]


def test_images_come_class_by_class_in_the_requested_order(tmp_path: Path) -> None:
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


def test_returned_images_are_a_mutable_copy(digits_table: ImageTable) -> None:
    scenario = build(digits_table)
    before = digits_table.images.copy()
    scenario.images_of(Split.TRAIN, [0]).images.fill_(7)
    assert np.array_equal(digits_table.images, before)


def test_images_that_exceed_the_memory_limit_are_on_disk_and_equal(
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


def test_targets_are_available_without_images(digits_table: ImageTable) -> None:
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


def test_a_tasks_fingerprint_changes_when_two_classes_swap_their_order(tmp_path: Path) -> None:
    table = small_table(tmp_path, {"a": (4, 1), "b": (4, 1)})
    orders = [build(table, 0.0, class_order=order) for order in (["a", "b"], ["b", "a"])]
    assert orders[0].fingerprint_of(orders[0].tasks[0]) != orders[1].fingerprint_of(
        orders[1].tasks[0]
    )
