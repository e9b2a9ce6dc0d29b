"""Batches are balanced over classes, however many images each class has."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.batches import BalancedBatches

class_sizes = st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any)


def batches_of(sizes: list[int], batch_size: int, seed: int = 0) -> BalancedBatches:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(9))]
    return BalancedBatches(
        shuffled, batch_size, lambda epoch: torch.Generator().manual_seed(100 * seed + epoch)
    )


@given(class_sizes, st.integers(2, 16))
def test_over_complete_turns_every_class_has_the_same_share_within_one(
    sizes: list[int], batch_size: int
) -> None:
    batches = batches_of(sizes, batch_size)
    sequence = batches.labels[torch.cat(batches.epoch(0))].tolist()
    present = {label for label, size in enumerate(sizes) if size}
    for start in range(0, len(sequence) - len(present) + 1, len(present)):
        assert set(sequence[start : start + len(present)]) == present
    counts = Counter(sequence)
    assert max(counts.values()) - min(counts[label] for label in present) <= 1


@given(class_sizes, st.integers(2, 16))
def test_the_shares_within_one_batch_differ_by_at_most_two(
    sizes: list[int], batch_size: int
) -> None:
    batches = batches_of(sizes, batch_size)
    present = [label for label, size in enumerate(sizes) if size]
    for batch in batches.epoch(0):
        counts = Counter(batches.labels[batch].tolist())
        # complete turns count every class once; only the partial turns at both ends of the batch
        # can differ
        assert (
            max(counts[label] for label in present) - min(counts[label] for label in present) <= 2
        )


@given(class_sizes, st.integers(2, 16))
def test_an_epoch_sees_every_image_of_the_largest_class_up_to_a_truncated_last_turn(
    sizes: list[int], batch_size: int
) -> None:
    batches = batches_of(sizes, batch_size)
    epoch = batches.epoch(0)
    num_classes, largest = sum(1 for size in sizes if size), max(sizes)
    assert len(epoch) == batches.num_batches == math.ceil(largest * num_classes / batch_size)
    assert {len(batch) for batch in epoch} == {batch_size}
    seen = set(torch.cat(epoch).tolist())
    for label in (label for label, size in enumerate(sizes) if size == largest):
        assert set(torch.nonzero(batches.labels == label).flatten().tolist()) <= seen


@given(class_sizes, st.integers(2, 16))
def test_a_smaller_class_is_exhausted_before_an_image_repeats(
    sizes: list[int], batch_size: int
) -> None:
    batches = batches_of(sizes, batch_size)
    sequence = torch.cat(batches.epoch(0))
    for label in (label for label, size in enumerate(sizes) if size):
        own = sequence[batches.labels[sequence] == label].tolist()
        repeats = Counter(own).values()
        assert max(repeats) - (min(repeats) if len(repeats) == sizes[label] else 0) <= 1


def test_an_epochs_batches_are_seeded() -> None:
    batches = batches_of([10, 3, 1], 4)
    first, again, next_epoch = (torch.cat(batches.epoch(epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, next_epoch)
    assert not torch.equal(first, torch.cat(batches_of([10, 3, 1], 4, seed=1).epoch(0)))


def test_a_single_exemplar_appears_as_often_as_a_large_class() -> None:
    batches = batches_of([60, 1], 10)
    counts = Counter(batches.labels[torch.cat(batches.epoch(0))].tolist())
    assert counts == {0: 60, 1: 60}


@pytest.mark.parametrize(("rehearsal", "num_batches"), [(1.0, 5), (0.5, 4), (0.0, 2)])
def test_old_classes_lengthen_an_epoch_by_the_rehearsal_factor(
    rehearsal: float, num_batches: int
) -> None:
    labels = torch.tensor([0, 1, 2, *[3] * 20, *[4] * 20])
    batches = BalancedBatches(
        labels,
        20,
        lambda epoch: torch.Generator().manual_seed(epoch),
        num_old_classes=3,
        rehearsal=rehearsal,
    )
    assert batches.num_batches == num_batches
    rows = torch.cat(batches.epoch(0))
    assert torch.bincount(labels[rows]).tolist() == [4 * num_batches] * 5, (
        "batches are balanced all the same"
    )
