"""The objective of a sweep: a metric or a weighted sum of metrics, and which value is best."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from itertools import product
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from orchestrator.config.bounds import MOST_WEIGHT
from orchestrator.config.roles import ROLES

MEASURE_NAMES = ("last_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer")
METRICS = tuple(f"{role}/{measure}" for role, measure in product(ROLES, MEASURE_NAMES))


def _known_metric(value: object) -> str | dict[str, float]:
    weights = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(weights, dict) or not weights:
        msg = f"{value!r} is neither the name of a metric nor a mapping of names to weights"
        raise ValueError(msg)
    for name, weight in weights.items():
        if name not in METRICS:
            nearest = difflib.get_close_matches(str(name), METRICS, n=1)
            advice = (
                f"did you mean {nearest[0]}?" if nearest else f"choose from {', '.join(METRICS)}"
            )
            msg = f"{name!r} is not a metric that trials report; {advice}"
            raise ValueError(msg)
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not math.isfinite(weight)
            or weight == 0
        ):
            msg = f"{name} has the weight {weight!r}; give a finite number other than 0"
            raise ValueError(msg)
        if abs(weight) > MOST_WEIGHT:
            msg = f"{name} has the weight {weight:g}; give one of at most {MOST_WEIGHT:g}"
            raise ValueError(msg)
    return (
        value
        if isinstance(value, str)
        else {name: float(weight) for name, weight in weights.items()}
    )


Metric = Annotated[
    str | dict[str, float],
    PlainValidator(_known_metric),
    PlainSerializer(lambda metric: metric),
]


def metric_text(metric: str | Mapping[str, float]) -> str:
    """`student/forgetting`, or `0.5 * student/last_accuracy - 0.2 * student/forgetting`."""
    if isinstance(metric, str):
        return metric
    terms = [
        f"{'+' if weight > 0 else '-'} {abs(weight):g} * {name}" for name, weight in metric.items()
    ]
    return " ".join(terms).removeprefix("+ ")


def rank_key(value: float, number: int, mode: str) -> tuple[float, int]:
    """Sorts trials: the best first, of equal ones the one that began first.

    Args:
        value: The trial's objective.
        number: The trial's.
        mode: "max" or "min": which objective is best.
    """
    return (-value if mode == "max" else value), number
