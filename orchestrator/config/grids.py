"""Reject parameters whose values a grid cannot list."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config.bounds import MOST_CHOICES
from orchestrator.config.distributions import (
    ENUMERABLE,
    DistributionConfig,
    IntUniformConfig,
    QuantizedUniformConfig,
)


def check_grid(parameters: Mapping[str, DistributionConfig]) -> None:
    """Reject parameters with infinitely many values, and parameters with too many values.

    Raises:
        ValueError: The values of a parameter cannot be listed.
    """
    endless = {path: at for path, at in parameters.items() if not isinstance(at, ENUMERABLE)}
    if endless:
        msg = "\n".join(
            f"parameters.{path}: a grid cannot list the values of {distribution.kind}; "
            "use choice, int_uniform or quantized_uniform, or another searcher"
            for path, distribution in endless.items()
        )
        raise ValueError(msg)
    for path, distribution in parameters.items():
        if (
            isinstance(distribution, IntUniformConfig | QuantizedUniformConfig)
            and distribution.num_values > MOST_CHOICES
        ):
            msg = (
                f"parameters.{path}: a grid of {distribution.num_values:,} values is too large,"
                f" the limit is {MOST_CHOICES:,}; raise step, or use another searcher"
            )
            raise ValueError(msg)
