"""Compute the axes of a parallel-coordinates plot of a sweep, and the height of each trial on each
axis. The module `parallel_coordinates` draws the plot.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from orchestrator.figures.texts import as_text, is_number, rounded, short_names, shortened

_LOG_SPAN = 10**1.5
# An axis with a value up to this limit is linear: on a logarithmic axis, the tick below such a
# value could underflow to 0.
_LEAST_LOG = 1e-300
_MAX_AXES, _MAX_TICKS, _MAX_VALUE_TICKS = 12, 9, 6


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """Vertical axis of one parameter or one objective.

    Attributes:
        name: Name shown above the axis.
        values: Value of each trial. The key is the trial's position in the list of trials; trials
            without a value are missing.
        heights: Height of each trial on the axis, from 0 to 1, with the same keys as `values`.
        ticks: Height and text of each tick.
    """

    name: str
    values: dict[int, Any]
    heights: dict[int, float]
    ticks: list[tuple[float, str]]


def parameter_axes(parameters_per_trial: Sequence[Mapping[str, Any]]) -> list[ParallelAxis]:
    """Return one axis for each parameter that varies between trials. If no parameter varies, return
    an axis for every parameter.

    A parameter that is a list of up to three numbers gets one axis per element. If there would be
    more than 12 axes, such a list gets a single axis with the mean of its numbers. Longer lists,
    and tables of numbers, are always shown by their mean.

    Args:
        parameters_per_trial: For each trial, the JSON value of each parameter by dotted path.
    """
    columns = _columns(parameters_per_trial, short_lists_apart=True)
    if len(columns) > _MAX_AXES:
        columns = _columns(parameters_per_trial, short_lists_apart=False)
    names = short_names(list(columns))
    return [value_axis(names[path], column) for path, column in columns.items()]


def value_axis(name: str, values: Mapping[int, Any]) -> ParallelAxis:
    """Return the axis that shows one value per trial.

    Numbers get a linear axis, or a logarithmic axis if they span more than 1.5 decades. If any
    value is not a number, the axis has one height per distinct value.

    Args:
        name: Name shown above the axis.
        values: Value of each trial, by the trial's position in the list of trials; None means no
            value.
    """
    given = {place: value for place, value in values.items() if value is not None}
    if given and all(map(is_number, given.values())):
        heights, ticks = _on_numbers({place: float(value) for place, value in given.items()})
    else:
        heights, ticks = _on_categories({place: as_text(value) for place, value in given.items()})
    return ParallelAxis(name, given, heights, ticks)


def _columns(
    parameters_per_trial: Sequence[Mapping[str, Any]], *, short_lists_apart: bool
) -> dict[str, dict[int, Any]]:
    whole: dict[str, dict[int, Any]] = {}
    for place, parameters in enumerate(parameters_per_trial):
        for path, value in parameters.items():
            whole.setdefault(path, {})[place] = value
    swept = {path: column for path, column in whole.items() if _varies(column)} or whole
    columns: dict[str, dict[int, Any]] = {}
    for path, column in swept.items():
        split: dict[str, dict[int, Any]] = {}
        for place, value in column.items():
            for suffix, part in _parts(value, short_lists_apart=short_lists_apart).items():
                split.setdefault(path + suffix, {})[place] = part
        columns |= {name: part for name, part in split.items() if _varies(part)} or split
    return columns


def _varies(column: Mapping[int, Any]) -> bool:
    return (
        len({float(value) if is_number(value) else as_text(value) for value in column.values()}) > 1
    )


def _parts(value: object, *, short_lists_apart: bool) -> dict[str, Any]:
    if not isinstance(value, list):
        return {"": value}
    if short_lists_apart and 0 < len(value) <= 3 and all(map(is_number, value)):
        return {f"[{i}]": item for i, item in enumerate(value)}
    numbers = [item for row in value for item in (row if isinstance(row, list) else [row])]
    return (
        {" (mean)": statistics.fmean(numbers)}
        if numbers and all(map(is_number, numbers))
        else {"": value}
    )


def _on_categories(texts: Mapping[int, str]) -> tuple[dict[int, float], list[tuple[float, str]]]:
    categories = sorted(set(texts.values()))
    middles = {text: (i + 0.5) / len(categories) for i, text in enumerate(categories)}
    shown = categories[:: math.ceil(len(categories) / _MAX_TICKS) or 1]
    return {place: middles[text] for place, text in texts.items()}, [
        (middles[text], shortened(text)) for text in shown
    ]


def _on_numbers(values: Mapping[int, float]) -> tuple[dict[int, float], list[tuple[float, str]]]:
    low, high = min(values.values()), max(values.values())
    if low == high:
        return dict.fromkeys(values, 0.5), [(0.5, rounded(low, 4))]
    logarithmic = low > _LEAST_LOG and high / low > _LOG_SPAN

    def height(value: float) -> float:
        return (
            (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
            if logarithmic
            else (value - low) / (high - low)
        )

    marked = sorted(set(values.values()))
    # If trials have only a few distinct values, each value gets a tick, unless labels would
    # overlap.
    if len(marked) > _MAX_VALUE_TICKS or np.diff([height(value) for value in marked]).min() < 0.06:
        candidates = _decades(low, high) if logarithmic else _round_steps(values.values())
        marked = [tick for tick in candidates if -1e-9 <= height(tick) <= 1 + 1e-9]
    return {place: height(value) for place, value in values.items()}, [
        (height(tick), text) for tick, text in _tick_texts(marked)
    ]


def _round_steps(values: Iterable[float]) -> list[float]:
    numbers = list(values)
    locator = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=all(map(float.is_integer, numbers)))
    return [float(tick) for tick in locator.tick_values(min(numbers), max(numbers))]


def _decades(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    decades = fine[::3]
    return (
        fine
        if sum(low <= tick <= high for tick in fine) <= _MAX_TICKS
        else decades[:: math.ceil(len(decades) / _MAX_TICKS)]
    )


def _tick_texts(ticks: Sequence[float]) -> list[tuple[float, str]]:
    # Round the tick labels to the fewest digits at which no label visibly differs from the position
    # of its tick.
    tolerance = 0.005 * min(np.diff(ticks), default=math.inf)
    digits = next(
        (
            n
            for n in range(2, 17)
            if all(abs(float(rounded(tick, n)) - tick) <= tolerance for tick in ticks)
        ),
        17,
    )
    return [(tick, rounded(tick, digits)) for tick in ticks]
