"""What a sweep shows: its trials as parallel coordinates, which parameters matter, the best curves,
and a table.

Only a finished trial has an objective that compares: what a trial reported before it was stopped
belongs to fewer tasks.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from sklearn.isotonic import isotonic_regression

from orchestrator.config.objective import rank_key
from orchestrator.figures.heat_map import INK, MUTED
from orchestrator.figures.parallel_axes import (
    as_text,
    is_number,
    parameter_axes,
    rounded,
    short_names,
    value_axis,
)
from orchestrator.figures.parallel_coordinates import draw_parallel_coordinates

# After Okabe and Ito, darkened where a text in that colour would be too pale; the best trial comes
# first.
_RANK_COLOURS = ("#0072B2", "#C24E00", "#00805E", "#AD4F84", "#8A5F00", "#5A5FC0", "#000000")
_GRID = "#e3e7ec"
# Height of the curves' plot and of one line of its labels.
_PLOT_POINTS, _LABEL_POINTS = 350.0, 13.0


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial as it is shown.

    Attributes:
        trial: Its number.
        status: "finished", "stopped" or "failed".
        value: The objective; None where there is none.
        parameters: Dotted path → JSON value; a conditional parameter is missing where it does not
            apply.
        curve: Objective after each task.
        teacher_curve: Test accuracy (fraction) after each task.
        student_curve: Test accuracy (fraction) after each task.
    """

    trial: int
    status: str
    value: float | None
    parameters: dict[str, Any]
    curve: list[float] = field(default_factory=list)
    teacher_curve: list[float] = field(default_factory=list)
    student_curve: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Curve:
    label: str
    values: tuple[float, ...]
    colour: str
    line_style: str


def parallel_coordinates_figure(
    trials: Sequence[TrialRow], metric: str, mode: str, max_width_inches: float = 13.5
) -> Figure:
    """Every trial as a line over its parameters to its objective; the best on top, the unfinished
    ones in grey.

    A parameter with one value in all trials is left out. A line passes below the axis of a
    parameter that its trial lacks.

    Args:
        trials: In any order.
        metric: Name of the objective.
        mode: "max" or "min": which objective is better.
        max_width_inches: Many axes stand close together in it.
    """
    if not trials:
        return _message(_count(trials))
    ranked = _ranked(trials, mode)
    ordered = [*ranked, *_unranked(trials)]
    name = "objective" if "*" in metric else metric.rsplit("/", 1)[-1]
    objective = value_axis(name, {place: trial.value for place, trial in enumerate(ranked)})
    columns = [*parameter_axes([trial.parameters for trial in ordered]), objective]
    figure = _new_figure(min(max_width_inches, max(8.5, 1.1 * len(columns) + 2.0)), 6.4)
    draw_parallel_coordinates(figure, columns, len(trials), mode)
    figure.suptitle(_headline(trials, metric, mode), x=0.01, ha="left", fontsize=11, color=INK)
    return figure


def importance_figure(importances: Mapping[str, float]) -> Figure:
    """Bars, the parameter that matters most on top.

    Args:
        importances: Dotted path → share of the objective's variation (fraction).
    """
    if not importances:
        return _message("No importances: they need finished trials that differ")
    # Bars are counted from below.
    ordered = sorted(importances.items(), key=lambda item: item[1])
    names = short_names(list(importances))
    figure = _new_figure(8.5, 1.1 + 0.38 * len(ordered))
    axes = figure.subplots()
    bars = axes.barh(
        [names[path] for path, _ in ordered],
        [share for _, share in ordered],
        0.7,
        color=_RANK_COLOURS[0],
    )
    axes.bar_label(bars, [f"{100 * share:.1f} %" for _, share in ordered], padding=4, color=INK)
    _finish(axes, "What the objective depends on: share of each parameter")
    axes.set_xticks([])
    axes.margins(x=0.1, y=0.02)
    return figure


def best_curves_figure(trials: Sequence[TrialRow], mode: str, num_best: int = 5) -> Figure:
    """Accuracy after each task of the best trials: teacher dashed, student solid; a curve that
    trials share is drawn once.

    Args:
        trials: In any order.
        mode: "max" or "min": which objective is better.
        num_best: How many trials to show.
    """
    best = _ranked(trials, mode)[:num_best]
    teachers = _curves(
        "teacher", "--", [(trial.trial, tuple(trial.teacher_curve)) for trial in best]
    )
    curves = [
        *_curves("student", "-", [(trial.trial, tuple(trial.student_curve)) for trial in best]),
        *teachers,
    ]
    if not curves:
        return _message("No accuracies yet" if best else _count(trials))
    figure = _new_figure(10.0, 5.8)
    axes = figure.subplots()
    for rank, curve in enumerate(curves):
        (line,) = axes.plot(
            range(1, len(curve.values) + 1),
            curve.values,
            curve.line_style,
            label=curve.label,
            color=curve.colour,
        )
        line.set(marker="o", markersize=4, linewidth=1.8, zorder=3 - rank / len(curves))
    which = "the best trial" if len(best) == 1 else f"the {len(best)} best trials"
    _finish(axes, f"Accuracy after each task, {which}: teacher dashed, student solid")
    axes.set_xlabel("tasks learned", color=MUTED)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=_GRID)
    _label_ends(axes, curves)
    return figure


def leaderboard_csv(trials: Sequence[TrialRow], mode: str) -> str:
    """All trials as CSV (RFC 4180), best first, one column per parameter; the unfinished ones
    follow without a rank.

    Args:
        trials: In any order.
        mode: "max" or "min": which objective is better.
    """
    paths = list(dict.fromkeys(path for trial in trials for path in trial.parameters))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["rank", "trial", "value", "status", *paths])
    for rank, trial in [
        *enumerate(_ranked(trials, mode), 1),
        *(("", trial) for trial in _unranked(trials)),
    ]:
        cells = [
            as_text(trial.parameters[path]) if path in trial.parameters else "" for path in paths
        ]
        writer.writerow([rank, trial.trial, trial.value, trial.status, *cells])
    return text.getvalue()


def _ranked(trials: Sequence[TrialRow], mode: str) -> list[TrialRow]:
    return sorted(
        filter(_is_finished, trials),
        key=lambda trial: rank_key(trial.value or 0.0, trial.trial, mode),
    )


def _unranked(trials: Sequence[TrialRow]) -> list[TrialRow]:
    return sorted(
        (trial for trial in trials if not _is_finished(trial)),
        key=lambda trial: (trial.status == "failed", trial.trial),
    )


def _is_finished(trial: TrialRow) -> bool:
    return trial.status == "finished" and is_number(trial.value)


def _count(trials: Sequence[TrialRow]) -> str:
    counts = Counter(
        trial.status if trial.status != "finished" or _is_finished(trial) else "without a value"
        for trial in trials
    )
    told = ", ".join(
        f"{counts[status]} {status}"
        for status in ("finished", "stopped", "failed", "without a value")
        if counts[status]
    )
    if counts["finished"]:
        return f"{len(trials)} trial{'s' * (len(trials) > 1)}: {told}"
    return f"No trial has finished ({told})" if trials else "No trial yet"


def _headline(trials: Sequence[TrialRow], metric: str, mode: str) -> str:
    ranked = _ranked(trials, mode)
    if not ranked:
        return _count(trials)
    wish = "higher" if mode == "max" else "lower"
    best = (
        f"Best: trial {ranked[0].trial} with {rounded(ranked[0].value or 0.0, 4)}, the thick line,"
        " its values below"
    )
    return f"{metric} ({wish} is better)\n{best}\n{_count(trials)}"


def _new_figure(width_inches: float, height_inches: float) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    return Figure(figsize=(width_inches, height_inches), layout=layout, facecolor="white")


def _message(text: str) -> Figure:
    figure = _new_figure(8.5, 2.0)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, color=MUTED)
    return figure


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=12, color=INK, loc="left", pad=10)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)


def _curves(
    role: str, line_style: str, values_per_trial: Sequence[tuple[int, tuple[float, ...]]]
) -> list[_Curve]:
    shared: dict[tuple[float, ...], list[int]] = {}
    for trial, values in values_per_trial:
        shared.setdefault(values, []).append(trial)
    curves = []
    for values, numbers in shared.items():
        if values:
            named = f"trial{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
            whose = "all" if 1 < len(numbers) == len(values_per_trial) else named
            label = f"{100 * values[-1]:.1f} %  {role} of {whose}"
            rank = [trial for trial, _ in values_per_trial].index(numbers[0])
            colour = MUTED if len(numbers) > 1 else _RANK_COLOURS[rank % len(_RANK_COLOURS)]
            curves.append(_Curve(label, values, colour, line_style))
    return curves


def _label_ends(axes: Axes, curves: Sequence[_Curve]) -> None:
    bottom, top = axes.get_ylim()
    ordered = sorted(curves, key=lambda curve: curve.values[-1])
    heights = _spread(
        [curve.values[-1] for curve in ordered],
        (bottom, top),
        _LABEL_POINTS / _PLOT_POINTS * (top - bottom),
    )
    last = max(len(curve.values) for curve in curves)
    right = last + 0.04 * last
    for curve, height in zip(ordered, heights, strict=True):
        end = (len(curve.values), curve.values[-1])
        leader = {
            "arrowstyle": "-",
            "color": curve.colour,
            "linewidth": 0.7,
            "shrinkA": 0,
            "shrinkB": 4,
        }
        axes.annotate(
            curve.label,
            end,
            (right, height),
            va="center",
            fontsize=10,
            color=curve.colour,
            arrowprops=leader,
        )


def _spread(heights: Sequence[float], limits: tuple[float, float], gap: float) -> list[float]:
    """Ascending heights moved as little as possible (least squares) until neighbours are `gap`
    apart.
    """
    gap = min(gap, (limits[1] - limits[0]) / len(heights))
    offsets = [i * gap for i in range(len(heights))]
    moved = isotonic_regression(
        [height - offset for height, offset in zip(heights, offsets, strict=True)]
    )
    lowest, highest = limits[0], limits[1] - offsets[-1]
    return [
        min(max(float(place), lowest), highest) + offset
        for place, offset in zip(moved, offsets, strict=True)
    ]
