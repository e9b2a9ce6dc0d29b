"""One point of a search space, as values: reading a ledger needs no sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Configuration:
    """One point of a search space.

    Attributes:
        draws: Drawn values, by name of the primitive dimension: plain JSON values.
        parameters: Their meaning, by path in the experiment: plain JSON values. Only the active
            parameters.
    """

    draws: dict[str, Any]
    parameters: dict[str, Any]
