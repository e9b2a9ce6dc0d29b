"""The assignment of rows to ranks, tested without processes."""

from __future__ import annotations

import pytest
import torch

from orchestrator.training.context import LearningContext
from orchestrator.training.ranks import Ranks


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("num_rows", [0, 1, 2, 5, 14, 64])
def test_shares_cover_all_rows_in_order_and_differ_in_length_by_at_most_one(
    size: int, num_rows: int
) -> None:
    shares = [Ranks(index, size).share(torch.arange(num_rows)) for index in range(size)]
    assert torch.cat(shares).tolist() == list(range(num_rows))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_a_rank_without_rows_augments_none_and_draws_like_the_others() -> None:
    context = LearningContext(0, "teacher[0]")
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    generators = [context.stream("views") for _ in range(2)]
    varied = [
        context.vary(image, generator, Ranks(index, 2).span(1))
        for index, generator in enumerate(generators)
    ]
    assert [len(images) for images in varied] == [0, 1]
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
