"""Define a configuration: one point of a search space, as JSON values. Code that only reads the
ledger of a sweep imports this module, and thus does not load a sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Configuration:
    """One point of a search space.

    Attributes:
        draws: Drawn JSON values, by name of the dimension. Each parameter has one or more
            dimensions (`tuning.dimensions`).
        parameters: JSON values of the parameters, by path in the experiment, computed from the
            draws. Parameters whose conditions do not hold are missing.
    """

    draws: dict[str, Any]
    parameters: dict[str, Any]
