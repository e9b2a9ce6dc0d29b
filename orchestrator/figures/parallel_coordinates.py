"""Draw a sweep as parallel coordinates: one line per trial, which crosses an axis for each
parameter and ends at the axis of the objective.
"""

import statistics
from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from orchestrator.config.objective import scale_of
from orchestrator.figures.layout import empty_figure, message_figure
from orchestrator.figures.palette import INK, MUTED
from orchestrator.figures.parallel_axes import ParallelAxis, parameter_axes, value_axis
from orchestrator.figures.texts import rounded, shortened, wrapped
from orchestrator.figures.trials import (
    TrialRow,
    best_first,
    count_text,
    is_finished,
    unfinished,
)

# The colour map viridis from light (worst trial) to dark (best trial). The yellow end of viridis is
# omitted, because yellow is hardly visible on white.
_COLOURS = LinearSegmentedColormap.from_list(
    "objective", mpl.colormaps["viridis"](np.linspace(0.88, 0.0, 256))
)
_ON_DARK = LinearSegmentedColormap.from_list(
    "objective on dark", mpl.colormaps["viridis"](np.linspace(0.22, 1.0, 256))
)
_UNFINISHED = "#bcc3cb"
_SAME = 1e-12  # objectives closer than this count as equal
_HALO = [Stroke(linewidth=4.5, foreground="white"), Normal()]
# Two heights below the axes; the axes span the heights 0 to 1. If a trial has no value on an axis,
# its line passes at the first height. The best trial's values are written at the second height.
_UNSET_HEIGHT, _BEST_HEIGHT = -0.08, -0.17


def parallel_coordinates_figure(
    trials: Sequence[TrialRow], metric: str, mode: str, max_width_inches: float = 13.5
) -> Figure:
    """Draw a parallel-coordinates plot of a sweep, with one line per trial.

    The line of the best trial is on top, and the lines of unfinished trials are grey. A parameter
    with the same value in all trials has no axis. If a trial lacks a parameter, its line passes
    below the axis of that parameter.

    Args:
        trials: Trials in any order.
        metric: Name of the objective.
        mode: Whether higher ("max") or lower ("min") objectives are better.
        max_width_inches: Maximum width of the figure; if there are many axes, the space between
            axes shrinks.
    """
    if not trials:
        return message_figure(count_text(trials))
    ordered = [*best_first(trials, mode), *unfinished(trials)]
    columns = sweep_axes(ordered, [metric])
    figure = empty_figure(min(max_width_inches, max(8.5, 1.1 * len(columns) + 2.0)), 6.4)
    _draw(figure, columns, len(trials), mode)
    figure.suptitle(_headline(trials, metric, mode), x=0.01, ha="left", fontsize=11, color=INK)
    return figure


def sweep_axes(ordered: Sequence[TrialRow], metrics: Sequence[str]) -> list[ParallelAxis]:
    """Return the axes of a sweep's parallel-coordinates plot: one axis per parameter that varies,
    then one axis per objective.

    Args:
        ordered: The trials, finished trials first.
        metrics: Names of the objectives.
    """
    finished = list(filter(is_finished, ordered))
    objectives = []
    for metric in metrics:
        label, factor = scale_of(metric)
        values = {
            place: factor * trial.values.get(metric, trial.value or 0.0)
            for place, trial in enumerate(finished)
        }
        objectives.append(value_axis(label.rsplit("/", 1)[-1], values))
    return [*parameter_axes([trial.parameters for trial in ordered]), *objectives]


def objective_colours(
    objectives: Sequence[float], mode: str, *, on_dark: bool = False
) -> list[str]:
    """Return the line colour of each finished trial, as #rrggbb. The better a trial, the higher the
    contrast of its colour with the background of the page.

    Args:
        objectives: Objectives of the finished trials, in any order.
        mode: Whether higher ("max") or lower ("min") objectives are better.
        on_dark: Whether the background of the page is dark.
    """
    if not objectives:
        return []
    scale = colour_scale(sorted(objectives, reverse=mode == "max"), mode)
    if on_dark:
        scale.set_cmap(_ON_DARK if mode == "max" else _ON_DARK.reversed())
    return [to_hex(colour) for colour in scale.to_rgba(np.array(objectives))]


def _draw(figure: Figure, columns: Sequence[ParallelAxis], num_trials: int, mode: str) -> None:
    """Draw the axes, and one line per trial, into a figure.

    Lines of unfinished trials are thin and grey; the best trial's line is thick and on top.

    Args:
        figure: An empty figure.
        columns: Axes from left to right; the last axis is the objective. The axes number the trials
            by rank: trial 0 is the best, and finished trials come before unfinished trials.
        num_trials: Number of trials.
        mode: Whether higher ("max") or lower ("min") objectives are better.
    """
    axes = figure.subplots()
    lines = [
        [(x, column.heights.get(trial, _UNSET_HEIGHT)) for x, column in enumerate(columns)]
        for trial in range(num_trials)
    ]
    objectives = list(columns[-1].values.values())
    unfinished = lines[len(objectives) :]
    axes.add_collection(
        LineCollection(unfinished, colors=_UNFINISHED, linewidths=0.8, zorder=1, label="unfinished")
    )
    if objectives:
        scale = colour_scale(objectives, mode)
        _draw_finished(axes, lines[: len(objectives)], scale.to_rgba(np.array(objectives)))
        if abs(objectives[0] - objectives[-1]) > _SAME:
            _draw_scale(figure, axes, scale, objectives[-1])
    for x, column in enumerate(columns):
        unset = (
            ""
            if len(column.heights) == num_trials
            else "unfinished"
            if x == len(columns) - 1
            else "not set"
        )
        best = shortened(column.values[0]) if 0 in column.values else "–"
        if x == len(columns) - 1 and objectives:
            is_share = column.name.endswith("%")
            best = f"{objectives[0]:.1f}" if is_share else rounded(objectives[0], 4)
        _draw_axis(axes, x, column, unset, best if objectives else "")
    name_size = 10 if len(columns) <= 10 else 9
    axes.set_xticks(
        range(len(columns)),
        [wrapped(column.name) for column in columns],
        fontsize=name_size,
        color=INK,
    )
    axes.tick_params(length=0, labeltop=True, labelbottom=False, pad=8)
    axes.set(
        xlim=(-0.15, len(columns) - 0.6),
        ylim=(_BEST_HEIGHT if objectives else _UNSET_HEIGHT, 1.01),
        yticks=[],
    )
    axes.spines[:].set_visible(False)


def colour_scale(objectives: Sequence[float], mode: str) -> ScalarMappable:
    """Return the colour scale of objectives: dark for the best objective, light for the worst.

    Objectives that are far worse than the median share the lightest colour.

    Args:
        objectives: Objectives of the finished trials, the best first.
        mode: Whether higher ("max") or lower ("min") objectives are better.
    """
    best, worst, median = objectives[0], objectives[-1], statistics.median(objectives)
    # The scale spans at most four times the distance between the best and the median objective,
    # unless these are equal. Otherwise a single bad trial could give all other trials nearly the
    # same colour.
    spans = [span for span in (4.0 * abs(median - best), abs(worst - best)) if span > _SAME]
    span = min(spans, default=1.0)
    if mode == "max":
        return ScalarMappable(Normalize(best - span, best), _COLOURS)
    return ScalarMappable(Normalize(best, best + span), _COLOURS.reversed())


def _headline(trials: Sequence[TrialRow], metric: str, mode: str) -> str:
    ranked = best_first(trials, mode)
    if not ranked:
        return count_text(trials)
    wish = "higher" if mode == "max" else "lower"
    value = f"{100 * (ranked[0].value or 0.0):.1f} %"
    best = f"Best: trial {ranked[0].trial} with {value}, the thick line, its values below"
    return f"{metric} ({wish} is better)\n{best}\n{count_text(trials)}"


def _draw_finished(
    axes: Axes, lines: Sequence[Sequence[tuple[float, float]]], colours: NDArray[np.float64]
) -> None:
    opacity = min(0.9, max(0.4, 40 / len(lines)))
    # A `LineCollection` draws later lines on top, so the lines are added from worst to best.
    axes.add_collection(
        LineCollection(
            lines[:0:-1],
            colors=colours[:0:-1],
            linewidths=1.4,
            alpha=opacity,
            zorder=2,
            label="finished",
        )
    )
    axes.add_collection(
        LineCollection(
            lines[:1],
            colors=colours[:1],
            linewidths=3.4,
            path_effects=_HALO,
            zorder=3,
            label="best",
        )
    )


def _draw_scale(figure: Figure, axes: Axes, scale: ScalarMappable, worst: float) -> None:
    low, high = np.array(scale.get_clim(), dtype=np.float64)
    # An arrow at the end of the colour bar says that some trials are worse than the scale shows.
    extend: Literal["min", "max", "neither"] = (
        "min" if worst < low else "max" if worst > high else "neither"
    )
    bar = figure.colorbar(scale, ax=axes, shrink=0.75, aspect=32, pad=0.02, extend=extend)
    bar.ax.tick_params(length=0, labelsize=9, colors=MUTED)
    bar.outline.set_visible(False)


def _draw_axis(axes: Axes, x: int, column: ParallelAxis, unset: str, best: str) -> None:
    axes.plot([x, x], [0, 1], color=INK, linewidth=1.0, zorder=4)
    axes.plot(
        [x] * len(column.ticks),
        [height for height, _ in column.ticks],
        "_",
        color=INK,
        markersize=8,
        zorder=4,
    )
    for height, text in column.ticks:
        label = axes.annotate(
            text,
            (x, height),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
        label.set(path_effects=_HALO, zorder=5)
    if unset:
        axes.text(
            x,
            _UNSET_HEIGHT - 0.02,
            unset,
            ha="center",
            va="top",
            fontsize=9,
            color=MUTED,
            style="italic",
            path_effects=_HALO,
            zorder=5,
        )
    if best:
        axes.text(
            x,
            _BEST_HEIGHT,
            best,
            ha="center",
            va="top",
            fontsize=9,
            weight="bold",
            color=_COLOURS(1.0),
        )
