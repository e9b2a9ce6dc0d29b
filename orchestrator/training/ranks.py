"""Learning on several workers at once: who has which share of a batch, and how their results come
together.

Every rank runs the same learning code on the same configuration. What is cheap is computed by all
of them alike; what is expensive, features and gradients, is computed by each on its share of the
rows and then put together, so that one worker and many agree. Alone, every operation is the
identity and nothing is set up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """This worker among all workers of its lane.

    Attributes:
        index: From 0.
        size: How many there are; above 1, torch's default process group must exist.
    """

    index: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that speaks and writes for all."""
        return self.index == 0

    def share(self, rows: Tensor) -> Tensor:
        """This rank's part of rows that all ranks have."""
        return rows[self.span(len(rows))]

    def span(self, num_rows: int) -> slice:
        """Which of so many rows are this rank's; the ranks' parts differ in length by one at
        most.
        """
        return self._spans(num_rows)[self.index]

    def _spans(self, num_rows: int) -> list[slice]:
        ends = [num_rows * rank // self.size for rank in range(self.size + 1)]
        return [slice(start, end) for start, end in pairwise(ends)]

    def gather(self, part: Tensor, num_rows: int) -> Tensor:
        """All rows again, in their order, from what each rank made of its share.

        Args:
            part: What this rank made of its share, row by row.
            num_rows: Of all shares together.
        """
        if self.size == 1:
            return part
        lengths = [span.stop - span.start for span in self._spans(num_rows)]
        padded = part.new_zeros(max(lengths), *part.shape[1:])
        padded[: len(part)] = part
        received = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(received, padded.contiguous())
        return torch.cat([rows[:length] for rows, length in zip(received, lengths, strict=True)])

    def mean(self, value: float, weight: float = 1.0) -> float:
        """The mean of a number over all ranks; each rank's weight is its part of the whole, and the
        weights' mean is 1.
        """
        if self.size == 1:
            return value
        summed = torch.tensor(value * weight, dtype=torch.float64)
        distributed.all_reduce(summed)
        return float(summed) / self.size

    def from_first(self, value: Callable[[], Value]) -> Value:
        """What the first rank finds, on every rank: two that look for themselves could find
        different things.
        """
        if self.size == 1:
            return value()
        box = [value() if self.is_first else None]
        distributed.broadcast_object_list(box)
        return cast("Value", box[0])

    def values_of_all(self, value: Value) -> list[Value]:
        """Every rank's value, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over all ranks."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def align(self, module: nn.Module) -> None:
        """Gives every rank the first one's state: running statistics are not averaged like
        gradients.
        """
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)


ALONE = Ranks()
