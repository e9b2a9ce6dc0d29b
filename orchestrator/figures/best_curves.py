"""Draw the accuracy curves of a sweep's best trials: teacher and student accuracy after each
task.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.optimize import isotonic_regression

from orchestrator.figures.layout import empty_figure, finish_axes, message_figure, share_formatter
from orchestrator.figures.palette import GRID, MUTED
from orchestrator.figures.trials import TrialRow, best_first, count_text

# Colours of the trials by rank, from the colour-blind-safe palette of Okabe and Ito. Some colours
# are darkened, because each label has the colour of its curve and must be readable on white.
_RANK_COLOURS = ("#0072B2", "#C24E00", "#00805E", "#AD4F84", "#8A5F00", "#5A5FC0", "#000000")
# Height of the plot, and height of a label that has one line of text; both in points.
_PLOT_POINTS, _LABEL_POINTS = 350.0, 13.0


@dataclass(frozen=True, slots=True)
class _Curve:
    label: str
    values: tuple[float, ...]
    colour: str
    line_style: str


def best_curves_figure(trials: Sequence[TrialRow], mode: str, num_best: int = 5) -> Figure:
    """Draw the accuracy after each task for the best trials of a sweep. Teacher curves are dashed,
    student curves are solid.

    Equal curves of several trials are drawn as one curve.

    Args:
        trials: Trials in any order.
        mode: Whether higher ("max") or lower ("min") objectives are better.
        num_best: Maximum number of trials to show.
    """
    best = best_first(trials, mode)[:num_best]
    teachers = _curves(
        "teacher", "--", [(trial.trial, tuple(trial.teacher_curve)) for trial in best]
    )
    curves = [
        *_curves("student", "-", [(trial.trial, tuple(trial.student_curve)) for trial in best]),
        *teachers,
    ]
    if not curves:
        return message_figure("No accuracies yet" if best else count_text(trials))
    figure = empty_figure(10.0, 5.8)
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
    finish_axes(axes, f"Accuracy after each task, {which}: teacher dashed, student solid")
    axes.set_xlabel("tasks learned", color=MUTED)
    axes.yaxis.set_major_formatter(share_formatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=GRID)
    _label_ends(axes, curves)
    return figure


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
    """Move the heights of labels as little as possible (least squares) until neighbouring labels
    are `gap` apart, or less if there are too many labels.

    Args:
        heights: Heights of the labels, ascending.
        limits: Lowest and highest allowed height.
        gap: Distance at which two labels do not overlap.
    """
    gap = min(gap, (limits[1] - limits[0]) / len(heights))
    offsets = [i * gap for i in range(len(heights))]
    moved = isotonic_regression(
        [height - offset for height, offset in zip(heights, offsets, strict=True)]
    ).x
    lowest, highest = limits[0], limits[1] - offsets[-1]
    return [
        min(max(float(place), lowest), highest) + offset
        for place, offset in zip(moved, offsets, strict=True)
    ]
