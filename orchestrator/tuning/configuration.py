"""Hold one point of a search space as values, so that reading a ledger does not load a sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Configuration:
    """One point of a search space.

    Attributes:
        draws: Drawn values (JSON), by name of the primitive dimension.
        parameters: Values (JSON) of the active parameters, by path in the experiment; they follow
            from the draws.
    """

    draws: dict[str, Any]
    parameters: dict[str, Any]
