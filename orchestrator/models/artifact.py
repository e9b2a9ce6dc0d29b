"""A learned model as tensors and plain values, ready to store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Artifact:
    """The stored result of a stage.

    Attributes:
        tensors: Tensors by name.
        values: Values that JSON can represent.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any] = field(default_factory=dict)
