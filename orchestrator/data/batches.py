"""Which images form a batch: every class gets the same share, however many images it has."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int64
from torch import Tensor


def num_balanced_batches(labels: Int64[Tensor, " n"], batch_size: int) -> int:
    """Batches in one epoch: enough for the largest class to be seen once."""
    counts = torch.bincount(labels)
    return max(1, math.ceil(int(counts.max()) * int((counts > 0).sum()) / batch_size))


def class_balanced_batches(labels: Int64[Tensor, " n"], batch_size: int, generator: torch.Generator) -> list[Int64[Tensor, " batch"]]:
    """One epoch of batches of row numbers in which all classes take turns.

    The largest class is seen about once; smaller ones are repeated, each time in a new order. Without this, one exemplar
    an old class would drown among the new images.
    """
    rows_of = [torch.nonzero(labels == label).flatten() for label in labels.unique().tolist()]
    num_batches = num_balanced_batches(labels, batch_size)
    num_turns = math.ceil(num_batches * batch_size / len(rows_of))
    columns = []
    for rows in rows_of:
        repeats = math.ceil(num_turns / len(rows))
        columns.append(torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(repeats)])[:num_turns])
    # a random order of the classes within each turn: no class is always last and cut off
    turns = torch.stack(columns, dim=1)
    order = torch.rand(turns.shape, generator=generator).argsort(dim=1)
    sequence = turns.gather(1, order).flatten()[: num_batches * batch_size]
    return list(sequence.split(batch_size))
