"""A learned model as tensors and plain values, ready to be stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Artifact:
    """Hold what a stage leaves behind.

    Attributes:
        tensors: By name.
        values: Whatever JSON can hold.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any] = field(default_factory=dict)
