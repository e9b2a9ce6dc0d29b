"""Form batches in which all classes occur equally often, however many images a class has."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor


@dataclass(frozen=True)
class BalancedBatches:
    """Sampler of batches of row numbers. Rows are taken from all classes in turn (docs/method.md,
    section 2 (a)).

    An epoch repeats smaller classes, in a new random order at each repetition. Without the
    repetition, the single exemplar of an old class would be lost among the new images. With
    `rehearsal` 1, an epoch covers the largest class about once; with a smaller value, less of it.

    Attributes:
        labels: Class of every row.
        batch_size: Rows per batch.
        generator_of: Function that returns the random generator of an epoch.
        num_old_classes: Number of old classes, which are the first classes and have few rows.
        rehearsal: How much an old class lengthens an epoch, relative to a new class, in [0, 1]. It
            does not change the batches' balance: each class has equally many rows in any case.
    """

    labels: Int64[Tensor, " n"]
    batch_size: int
    generator_of: Callable[[int], torch.Generator]
    num_old_classes: int = 0
    rehearsal: float = 1.0

    @property
    def num_batches(self) -> int:
        """Return the number of batches of one epoch."""
        counts = torch.bincount(self.labels)
        num_old, num_new = (
            int((part > 0).sum())
            for part in (counts[: self.num_old_classes], counts[self.num_old_classes :])
        )
        return max(
            1, math.ceil(int(counts.max()) * (num_new + self.rehearsal * num_old) / self.batch_size)
        )

    def epoch(self, index: int) -> list[Int64[Tensor, " batch"]]:
        """Return the batches of one epoch."""
        generator = self.generator_of(index)
        rows_of = [
            torch.nonzero(self.labels == label).flatten() for label in self.labels.unique().tolist()
        ]
        num_rows = self.num_batches * self.batch_size
        num_turns = math.ceil(num_rows / len(rows_of))
        columns = [_repeated(rows, num_turns, generator) for rows in rows_of]
        # shuffle the classes in each turn (one row per class), so that the end of an epoch does not
        # always cut off the same classes
        turns = torch.stack(columns, dim=1)
        order = torch.rand(turns.shape, generator=generator).argsort(dim=1)
        return list(turns.gather(1, order).flatten()[:num_rows].split(self.batch_size))


def _repeated(
    rows: Int64[Tensor, " rows"], num: int, generator: torch.Generator
) -> Int64[Tensor, " num"]:
    """Return `num` rows by repeating the given rows, in a new random order at each repetition."""
    repeats = math.ceil(num / len(rows))
    return torch.cat(
        [rows[torch.randperm(len(rows), generator=generator)] for _ in range(repeats)]
    )[:num]
