"""Learn on several workers at once: split batches into shares, and combine the workers' results.

A *rank* is one of the workers that compute a stage together. Every rank runs the same learning code
with the same configuration. Cheap computations are repeated on every rank. Expensive computations
(features and gradients) are split: each rank computes its share of the rows, and the ranks then
combine their shares. So the result does not depend on the number of workers. With a single rank,
combining changes nothing, and no process group is needed.
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
    """Position of this worker among all workers that compute a stage together.

    Attributes:
        index: Index of the worker, from 0.
        size: Number of workers; above 1, torch's default process group must exist.
    """

    index: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this is the first rank, which alone sends reports and writes files."""
        return self.index == 0

    def share(self, rows: Tensor) -> Tensor:
        """Return this rank's share of rows, given all rows."""
        return rows[self.span(len(rows))]

    def span(self, num_rows: int) -> slice:
        """Return the slice of rows that is this rank's share; the lengths of the ranks' slices
        differ by at most one.
        """
        return self._spans(num_rows)[self.index]

    def _spans(self, num_rows: int) -> list[slice]:
        ends = [num_rows * rank // self.size for rank in range(self.size + 1)]
        return [slice(start, end) for start, end in pairwise(ends)]

    def gather(self, part: Tensor, num_rows: int) -> Tensor:
        """Combine the ranks' results for their shares; return the results for all rows, in order.

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
        """Return the weighted mean of a number over all ranks.

        Args:
            value: The number on this rank.
            weight: Weight of this rank, in proportion to its share of the rows. The mean of all
                ranks' weights must be 1.
        """
        if self.size == 1:
            return value
        summed = torch.tensor(value * weight, dtype=torch.float64)
        distributed.all_reduce(summed)
        return float(summed) / self.size

    def from_first(self, value: Callable[[], Value]) -> Value:
        """Call a function on the first rank only, and return the function's result on every rank.
        This is for functions whose result could differ from rank to rank.
        """
        if self.size == 1:
            return value()
        box = [value() if self.is_first else None]
        distributed.broadcast_object_list(box)
        return cast("Value", box[0])

    def values_of_all(self, value: Value) -> list[Value]:
        """Return the values of all ranks, in the order of the ranks, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def parallel(self, module: nn.Module) -> nn.Module:
        """Wrap a module for training on parallel ranks, so that gradients are averaged over all
        ranks. With a single rank, return the module unchanged.
        """
        return module if self.size == 1 else DistributedDataParallel(module)

    def align(self, module: nn.Module) -> None:
        """Copy a module's state from the first rank to every rank. Gradients are averaged over
        ranks, but running statistics, such as those of batch normalisation, are not.
        """
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)


ALONE = Ranks()
