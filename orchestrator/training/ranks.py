"""Learning on several workers at once: split batches into shares, and combine the workers' results.

Every rank runs the same learning code with the same configuration. All ranks perform the cheap
computations. Of the expensive ones, features and gradients, each rank computes its share of the
rows; the shares are then combined, so that one worker and many agree. With a single rank every
operation is the identity and nothing is set up.
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
        index: Index of the worker, from 0.
        size: Number of workers; above 1, torch's default process group must exist.
    """

    index: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this rank reports and writes for all."""
        return self.index == 0

    def share(self, rows: Tensor) -> Tensor:
        """Return this rank's share of rows that all ranks have."""
        return rows[self.span(len(rows))]

    def span(self, num_rows: int) -> slice:
        """Return this rank's span of the rows; the ranks' spans differ in length by at most one."""
        return self._spans(num_rows)[self.index]

    def _spans(self, num_rows: int) -> list[slice]:
        ends = [num_rows * rank // self.size for rank in range(self.size + 1)]
        return [slice(start, end) for start, end in pairwise(ends)]

    def gather(self, part: Tensor, num_rows: int) -> Tensor:
        """Return the results for all rows, in their order, from each rank's results for its share.

        Args:
            part: This rank's results, row by row.
            num_rows: Total number of rows of all shares.
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
        """Return the mean of a number over all ranks; each rank's weight is its part of the whole,
        and the weights' mean is 1.
        """
        if self.size == 1:
            return value
        summed = torch.tensor(value * weight, dtype=torch.float64)
        distributed.all_reduce(summed)
        return float(summed) / self.size

    def from_first(self, value: Callable[[], Value]) -> Value:
        """Return the first rank's result on every rank: two ranks that each looked for themselves
        could get different results.
        """
        if self.size == 1:
            return value()
        box = [value() if self.is_first else None]
        distributed.broadcast_object_list(box)
        return cast("Value", box[0])

    def values_of_all(self, value: Value) -> list[Value]:
        """Return every rank's value, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def parallel(self, module: nn.Module) -> nn.Module:
        """Return the module with its gradients averaged over all ranks."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def align(self, module: nn.Module) -> None:
        """Copy the first rank's state to every rank: running statistics are not averaged like
        gradients.
        """
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)


ALONE = Ranks()
