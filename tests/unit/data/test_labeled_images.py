"""Images with their classes are the same in memory and on disk."""

from dataclasses import replace

import torch
from torch.nn import functional

from orchestrator.data import ImageTable, Split
from tests.unit.data.scenarios import build, is_in_a_file


def test_exemplars_precede_images_in_memory_and_on_disk(digits_table: ImageTable) -> None:
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


def test_without_exemplars_nothing_is_copied(digits_table: ImageTable) -> None:
    data = build(digits_table).images_of(Split.TRAIN, [0])
    assert data.preceded_by(data.images[:0]) is data


def test_images_are_resized_in_memory_and_on_disk(digits_table: ImageTable) -> None:
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
