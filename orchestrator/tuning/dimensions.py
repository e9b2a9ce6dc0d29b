"""Translate the distribution of a parameter to dimensions, and values drawn from the dimensions to
the value of the parameter. A dimension is one number, or one choice, that Optuna can draw.

If possible, a dimension has the units of the parameter. A value drawn from a search space is then
also valid in a wider search space. A normal distribution is the exception: its dimension is a
quantile, which is drawn uniformly, so that the values of the parameter are normally distributed.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from itertools import accumulate
from statistics import NormalDist
from typing import Any, TypeAlias, assert_never

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from orchestrator.config.distributions import (
    AscendingConfig,
    ChoiceConfig,
    DistributionConfig,
    FallingTableConfig,
    IntUniformConfig,
    LogUniformConfig,
    NormalConfig,
    QuantizedLogUniformConfig,
    QuantizedNormalConfig,
    QuantizedUniformConfig,
    UniformConfig,
)

Dimension: TypeAlias = FloatDistribution | IntDistribution | CategoricalDistribution
Draws: TypeAlias = dict[str, Any]

_VARIATIONS = (0.8, 1.2)


def dimensions_of(path: str, distribution: DistributionConfig) -> dict[str, Dimension]:
    """Return a parameter's dimensions by name. The name is the parameter's path. If the parameter
    has several dimensions, each name also has a suffix after a slash.
    """
    match distribution:
        case UniformConfig():
            return {path: FloatDistribution(distribution.low, distribution.high)}
        case LogUniformConfig() | QuantizedLogUniformConfig():
            return {path: FloatDistribution(distribution.low, distribution.high, log=True)}
        case IntUniformConfig(low=low, high=high, step=step):
            return {
                path: IntDistribution(
                    low, high - (high - low) % step, log=distribution.log, step=step
                )
            }
        case QuantizedUniformConfig(low=low, step=step):
            return {
                path: FloatDistribution(
                    low, _on_step(distribution.high, low, step, math.floor), step=step
                )
            }
        case NormalConfig() | QuantizedNormalConfig():
            bell = NormalDist(distribution.mean, distribution.sd)
            smallest, largest = distribution.bounds
            return {f"{path}/quantile": FloatDistribution(bell.cdf(smallest), bell.cdf(largest))}
        case ChoiceConfig():
            return {
                path: CategoricalDistribution([_category(value) for value in distribution.values])
            }
        case AscendingConfig():
            return {
                f"{path}/{index}": FloatDistribution(distribution.low, distribution.high)
                for index in range(distribution.num_values)
            }
        case FallingTableConfig():
            return _table_dimensions(path, distribution)
        case _:
            assert_never(distribution)


def value_of(path: str, distribution: DistributionConfig, draws: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any plain JSON value
    """Return the value of a parameter, given the drawn values of its dimensions by name."""
    match distribution:
        case UniformConfig() | LogUniformConfig() | IntUniformConfig():
            return draws[path]
        case QuantizedUniformConfig(low=low, step=step):
            return _on_step(draws[path], low, step)
        case QuantizedLogUniformConfig(low=low, step=step):
            return min(
                _on_step(draws[path], low, step), _on_step(distribution.high, low, step, math.floor)
            )
        case NormalConfig():
            return _bell_value(distribution, draws[f"{path}/quantile"])
        case QuantizedNormalConfig(step=step):
            low, high = distribution.bounds
            value = _on_step(_bell_value(distribution, draws[f"{path}/quantile"]), 0.0, step)
            return min(
                max(value, _on_step(low, 0.0, step, math.ceil)),
                _on_step(high, 0.0, step, math.floor),
            )
        case ChoiceConfig():
            return next(value for value in distribution.values if _category(value) == draws[path])
        case AscendingConfig():
            return sorted(draws[f"{path}/{index}"] for index in range(distribution.num_values))
        case FallingTableConfig():
            return _table(path, distribution, draws)
        case _:
            assert_never(distribution)


def in_order(path: str, distribution: DistributionConfig, draws: Draws) -> Draws:
    """Return the draws of a parameter (values of its dimensions, by name) in canonical form:
    numbers that must ascend are sorted. Draws that give equal values of the parameter thus become
    equal.
    """
    if not isinstance(distribution, AscendingConfig):
        return draws
    return dict(zip(draws, value_of(path, distribution, draws), strict=True))


def grid_of(path: str, distribution: DistributionConfig) -> list[Draws]:
    """Return, for each value of a parameter in a grid, the draws that give this value. Draws are
    the values of the parameter's dimensions, by name.

    Raises:
        TypeError: A grid cannot list the values of this kind of distribution.
    """
    match distribution:
        case ChoiceConfig():
            return [{path: _category(value)} for value in distribution.values]
        case IntUniformConfig(low=low, high=high, step=step):
            return [{path: value} for value in range(low, high + 1, step)]
        case QuantizedUniformConfig(low=low, high=high, step=step):
            num_steps = round((_on_step(high, low, step, math.floor) - low) / step)
            return [
                {path: _on_step(low + index * step, low, step)} for index in range(num_steps + 1)
            ]
        case _:
            msg = f"{path}: a grid cannot list the values of {distribution.kind}"
            raise TypeError(msg)


def lies_in(dimension: Dimension, drawn: object) -> bool:
    """Return whether a drawn value lies in a dimension."""
    if isinstance(dimension, CategoricalDistribution):
        return any(drawn == choice and type(drawn) is type(choice) for choice in dimension.choices)
    if isinstance(drawn, bool) or not isinstance(
        drawn, int if isinstance(dimension, IntDistribution) else int | float
    ):
        return False
    steps = (drawn - dimension.low) / dimension.step if dimension.step else 0.0
    return dimension.low <= drawn <= dimension.high and abs(steps - round(steps)) < 1e-8


def drawn_at_random(dimension: Dimension, chance: random.Random) -> Any:  # noqa: ANN401 - any plain JSON value
    """Draw a value from a dimension at random, independently of other draws."""
    if isinstance(dimension, CategoricalDistribution):
        return chance.choice(dimension.choices)
    if dimension.log:
        return _fitted(
            dimension, math.exp(chance.uniform(math.log(dimension.low), math.log(dimension.high)))
        )
    return _fitted(dimension, chance.uniform(dimension.low, dimension.high))


def varied(dimension: Dimension, drawn: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any plain JSON value
    """Return a drawn value near a given value. A number changes by a fifth, and at least by one
    step; a choice changes to an adjacent choice.
    """
    direction = chance.randrange(2)
    if isinstance(dimension, CategoricalDistribution):
        index = dimension.choices.index(drawn) + (-1, 1)[direction]
        return dimension.choices[min(max(index, 0), len(dimension.choices) - 1)]
    moved = _fitted(dimension, drawn * _VARIATIONS[direction])
    if moved == drawn and dimension.step:
        moved = _fitted(dimension, drawn + (-1, 1)[direction] * dimension.step)
    return moved


def _fitted(dimension: FloatDistribution | IntDistribution, value: float) -> float:
    if isinstance(dimension, IntDistribution):
        steps = round((value - dimension.low) / dimension.step)
        return min(max(dimension.low + steps * dimension.step, dimension.low), dimension.high)
    if dimension.step:
        value = _on_step(value, dimension.low, dimension.step)
    return min(max(value, dimension.low), dimension.high)


def _on_step(value: float, start: float, step: float, rounding: Any = round) -> float:  # noqa: ANN401 - round has overloads
    """Round a value to `start + k * step`, without the floating-point error of the product."""
    steps = (value - start) / step
    whole = round(steps) if abs(steps - round(steps)) < 1e-8 else rounding(steps)
    return float(f"{start + whole * step:.12g}")


def _bell_value(distribution: NormalConfig | QuantizedNormalConfig, quantile: float) -> float:
    low, high = distribution.bounds
    return min(max(NormalDist(distribution.mean, distribution.sd).inv_cdf(quantile), low), high)


def _category(value: object) -> Any:  # noqa: ANN401 - any plain JSON value
    """Return a choice in a form that Optuna can store: a list or mapping becomes a JSON text."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value


def _table_dimensions(path: str, table: FallingTableConfig) -> dict[str, Dimension]:
    drops = [
        *(f"row_drop_{row}" for row in range(1, table.num_rows)),
        *(f"column_drop_{column}" for column in range(1, table.num_columns)),
    ]
    start: dict[str, Dimension] = {f"{path}/start": FloatDistribution(table.low, table.high)}
    return start | {f"{path}/{name}": FloatDistribution(0.0, table.largest_drop) for name in drops}


def _table(path: str, table: FallingTableConfig, draws: Mapping[str, Any]) -> list[list[float]]:
    rows = list(
        accumulate(
            (draws[f"{path}/row_drop_{row}"] for row in range(1, table.num_rows)), initial=0.0
        )
    )
    columns = list(
        accumulate(
            (draws[f"{path}/column_drop_{column}"] for column in range(1, table.num_columns)),
            initial=0.0,
        )
    )
    start = draws[f"{path}/start"]
    return [[max(table.low, start - (row + column)) for column in columns] for row in rows]
