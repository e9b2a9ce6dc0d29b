"""Compute the axes of a sweep's parallel coordinates, and the position of each trial on each axis.

`parallel_coordinates` draws them.
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
_LEAST_LOG = 1e-300  # smaller values get no logarithmic axis: their next decade rounds to 0
_MAX_AXES, _MAX_TICKS, _MAX_VALUE_TICKS = 12, 9, 6


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """Vertical axis of a parameter or an objective.

    Attributes:
        name: Name above the axis.
        values: Value of each trial, by the trial's position in the sweep; trials without a value
            are missing.
        heights: Height of each trial on the axis, from 0 to 1, by the trial's position in the
            sweep.
        ticks: Height and text of each tick.
    """

    name: str
    values: dict[int, Any]
    heights: dict[int, float]
    ticks: list[tuple[float, str]]


def parameter_axes(parameters_per_trial: Sequence[Mapping[str, Any]]) -> list[ParallelAxis]:
    """Return one axis per parameter that varies, or per parameter if none does.

    A list of up to three numbers gets an axis per element while there is room (12 axes); longer
    lists and tables are shown by their mean.

    Args:
        parameters_per_trial: Dotted path → JSON value of each trial.
    """
    columns = _columns(parameters_per_trial, short_lists_apart=True)
    if len(columns) > _MAX_AXES:
        columns = _columns(parameters_per_trial, short_lists_apart=False)
    names = short_names(list(columns))
    return [value_axis(names[path], column) for path, column in columns.items()]


def value_axis(name: str, values: Mapping[int, Any]) -> ParallelAxis:
    """Return the axis for some values. It is logarithmic if numbers span more than 1.5 decades;
    values that are not numbers get one tick per category.

    Args:
        name: Name above the axis.
        values: Value of each trial, by the trial's position in the sweep; None means no value.
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
    # A few hand-picked values are their own ticks, unless their labels would overlap.
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
    # Use the fewest digits that keep the ticks distinct and do not move them visibly.
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
