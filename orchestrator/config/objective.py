"""Define the objectives of a sweep: metrics, weighted sums of metrics, and costs."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

from pydantic import AfterValidator, PlainSerializer, PlainValidator

from orchestrator.config.bounds import MOST_WEIGHT
from orchestrator.config.roles import ROLES

MEASURE_NAMES = ("last_accuracy", "average_incremental_accuracy", "forgetting", "backward_transfer")
LATENCY = "latency_ms"
COST_NAMES = ("num_parameters", "multiply_adds", LATENCY, "bytes")
WORKER_SECONDS = "worker_seconds"
# metrics of a network's cost after the last task, such as its number of parameters or its latency
# in ms; these costs are known without training
COSTS = tuple(f"{role}/{cost}" for role, cost in product(ROLES, COST_NAMES))
METRICS = (
    *(f"{role}/{measure}" for role, measure in product(ROLES, MEASURE_NAMES)),
    *COSTS,
    WORKER_SECONDS,
)
BEST = "best"

Mode = Literal["max", "min"]
Unit = Literal["fraction", "count", "ms", "bytes", "seconds", "mixed"]

_UNITS: dict[str, Unit] = {
    "num_parameters": "count",
    "multiply_adds": "count",
    LATENCY: "ms",
    "bytes": "bytes",
    WORKER_SECONDS: "seconds",
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_BOUND = re.compile(r"\s*(<=|>=|<|>)\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


def _known_metric(value: object) -> str | dict[str, float]:
    weights = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(weights, dict) or not weights:
        msg = f"{value!r} is neither a metric name nor a mapping from metric names to weights"
        raise ValueError(msg)
    for name, weight in weights.items():
        _metric_name(name)
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not math.isfinite(weight)
            or weight == 0
        ):
            msg = f"{name} has the weight {weight!r}; give a finite number other than 0"
            raise ValueError(msg)
        if abs(weight) > MOST_WEIGHT:
            msg = f"{name} has the weight {weight:g}; give a weight of at most {MOST_WEIGHT:g}"
            raise ValueError(msg)
    return (
        value
        if isinstance(value, str)
        else {name: float(weight) for name, weight in weights.items()}
    )


def _metric_name(name: object) -> str:
    if name in METRICS:
        return str(name)
    nearest = difflib.get_close_matches(str(name), METRICS, n=1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"choose from {', '.join(METRICS)}"
    msg = f"{name!r} is not a metric that trials report; {advice}"
    raise ValueError(msg)


def _cost_name(name: str) -> str:
    if name in COSTS:
        return name
    msg = f"{name!r} is not known before a trial is trained; choose from {', '.join(COSTS)}"
    raise ValueError(msg)


@dataclass(frozen=True)
class Bound:
    """Comparison of a metric's value with a number, such as `<= 100000`."""

    comparison: str
    number: float

    def holds(self, value: float) -> bool:
        """Return whether a value satisfies the comparison."""
        return _COMPARISONS[self.comparison](value, self.number)


def parse_bound(text: str) -> Bound:
    """Parse a bound of the form `<=|>=|<|> number`.

    Raises:
        ValueError: The text is not of this form.
    """
    match = _BOUND.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not of the form <=|>=|<|> number; for example '<= 100000'"
        raise ValueError(msg)
    return Bound(match[1], float(match[2]))


def _bound_text(text: str) -> str:
    parse_bound(text)
    return text


MetricName = Annotated[str, PlainValidator(_metric_name)]
CostName = Annotated[str, AfterValidator(_cost_name)]
BoundText = Annotated[str, AfterValidator(_bound_text)]
Metric = Annotated[
    str | dict[str, float],
    PlainValidator(_known_metric),
    PlainSerializer(lambda metric: metric),
]


def metric_text(metric: str | Mapping[str, float]) -> str:
    """Return a metric as text, such as `0.5 * student/last_accuracy - 0.2 * student/forgetting`."""
    if isinstance(metric, str):
        return metric
    terms = [
        f"{'+' if weight > 0 else '-'} {abs(weight):g} * {name}" for name, weight in metric.items()
    ]
    return " ".join(terms).removeprefix("+ ")


def unit_of(metric: str) -> Unit:
    """Return the unit of a metric, or of a weighted sum in the form that `metric_text` returns."""
    names = re.findall(r"[a-z]+/[a-z_]+|worker_seconds", metric)
    units = {_UNITS.get(name.rpartition("/")[2], "fraction") for name in names} or {"fraction"}
    is_weighted = " * " in metric
    unit: Unit = units.pop() if len(units) == 1 else "mixed"
    return "mixed" if is_weighted and unit != "fraction" else unit


def scale_of(metric: str) -> tuple[str, float]:
    """Return the axis label of a metric, and the factor that scales its values for display."""
    name = "objective" if "*" in metric else metric
    labels: dict[Unit, tuple[str, float]] = {
        "fraction": (f"{name} in %", 100.0),
        "bytes": (f"{name} in kB", 0.001),
    }
    return labels.get(unit_of(metric), (name, 1.0))


def rank_key(value: float, number: int, mode: str) -> tuple[float, int]:
    """Return a sort key for trials: best objective first, ties by trial number.

    Args:
        value: Objective of the trial.
        number: Number of the trial.
        mode: "max" or "min".
    """
    return (-value if mode == "max" else value), number
