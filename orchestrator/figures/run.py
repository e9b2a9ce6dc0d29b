"""Draw the results of a run: a single accuracy matrix, or an overview with the matrices and curves
of teacher and student.

All plots have fixed positions in inches. A layout engine would draw each figure twice, and drawing
is the slowest part of writing a run's output.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from orchestrator.evaluation import forgetting_of_task
from orchestrator.figures.heat_map import draw_matrix, draw_scale, name_tasks
from orchestrator.figures.layout import share_formatter
from orchestrator.figures.palette import GRID, INK, MUTED, SERIES

Matrix: TypeAlias = Sequence[Sequence[float | None]]

ROLE_STYLES = {
    "Teacher": (SERIES["series-1"].light, "o"),
    "Student": (SERIES["series-2"].light, "s"),
}
_CELL_INCHES = 0.62
_OVERVIEW_SIDE_INCHES = 4.1
# Margins around a matrix in inches. They hold the title above the matrix, the axis labels on the
# left and below, and the colour bar on the right.
_TOP, _LEFT, _RIGHT, _BOTTOM, _BOTTOM_WITH_NAMES = 0.5, 0.78, 1.0, 0.7, 1.35
_GAP = 1.1  # inches between the left and right halves of the overview
_BAR_WIDTH = 0.36


def accuracy_matrix_figure(
    matrix: Matrix, title: str, class_names_per_task: Sequence[Sequence[str]] = ()
) -> Figure:
    """Draw one accuracy matrix as a heat map.

    Args:
        matrix: Row i has the accuracies (fractions) on tasks 0 … i after learning task i. A row may
            end at the diagonal, or continue with None or NaN above the diagonal.
        title: Title of the figure.
        class_names_per_task: Class names to write under each task's number; empty to write no
            names.
    """
    values = _square(matrix)
    side = max(2.6, _CELL_INCHES * len(values))
    bottom = _BOTTOM_WITH_NAMES if class_names_per_task else _BOTTOM
    figure = _new_figure(_LEFT + side + _RIGHT, bottom + side + _TOP)
    axes = _placed(figure, _LEFT, bottom, side, side)
    draw_matrix(axes, values, title, side)
    if class_names_per_task:
        name_tasks(axes, class_names_per_task)
    draw_scale(figure, _scale_beside(figure, _LEFT + side, bottom, side))
    return figure


def run_overview_figure(teacher_matrix: Matrix, student_matrix: Matrix, title: str) -> Figure:
    """Draw an overview of a run: the accuracy matrices of teacher and student as heat maps, the
    mean accuracy after each task, and the forgetting of each task.

    Args:
        teacher_matrix: The teacher's accuracies, in the form that `accuracy_matrix_figure` takes.
        student_matrix: The student's accuracies, in the same form.
        title: Title of the figure, which identifies the run.
    """
    matrices = {"Teacher": _square(teacher_matrix), "Student": _square(student_matrix)}
    size, curve_height, between = _OVERVIEW_SIDE_INCHES, 2.4, 1.05
    columns, curves_at = (_LEFT, _LEFT + size + _GAP), _BOTTOM
    matrices_at = curves_at + curve_height + between
    figure = _new_figure(columns[1] + size + _RIGHT, matrices_at + size + 2 * _TOP)
    figure.suptitle(title, fontsize=15, fontweight="bold", color=INK)
    left, right = (_placed(figure, x, matrices_at, size, size) for x in columns)
    accuracy, forgetting = (_placed(figure, x, curves_at, size, curve_height) for x in columns)
    for axes, (role, values) in zip((left, right), matrices.items(), strict=True):
        draw_matrix(axes, values, f"{role}: accuracy on each task, in percent", size)
    draw_scale(figure, _scale_beside(figure, columns[1] + size, matrices_at, size))
    for side, (role, values) in zip((-0.5, 0.5), matrices.items(), strict=True):
        _draw_curve(accuracy, role, np.nanmean(values, axis=1), side)
        _draw_bars(forgetting, role, _forgetting_per_task(values), side)
    _finish(accuracy, "Accuracy: mean over the tasks learned so far", "tasks learned")
    _finish(forgetting, "Forgetting of each task at the end", "task")
    return figure


def _new_figure(width_inches: float, height_inches: float) -> Figure:
    figure = Figure(figsize=(width_inches, height_inches), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _placed(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add an empty plot to a figure; position and size are in inches."""
    figure_width, figure_height = figure.get_size_inches()
    return figure.add_axes(
        (left / figure_width, bottom / figure_height, width / figure_width, height / figure_height)
    )


def _scale_beside(figure: Figure, left: float, bottom: float, side: float) -> Axes:
    """Add an empty plot for the colour bar of a square matrix, to the right of the matrix."""
    return _placed(figure, left + 0.12, bottom + 0.07 * side, 0.14, 0.86 * side)


def _square(matrix: Matrix) -> NDArray[np.float64]:
    values = np.full((len(matrix), len(matrix)), math.nan)
    for i, row in enumerate(matrix):
        seen = [math.nan if value is None else value for value in row[: i + 1]]
        values[i, : len(seen)] = seen
    return values


def _forgetting_per_task(values: NDArray[np.float64]) -> NDArray[np.float64]:
    last = len(values) - 1
    rows = [row[: i + 1].tolist() for i, row in enumerate(values)]
    return np.array([forgetting_of_task(rows, last, task) for task in range(last)])


def _draw_curve(axes: Axes, role: str, values: NDArray[np.float64], side: float) -> None:
    colour, marker = ROLE_STYLES[role]
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, color=colour, marker=marker, markersize=6, linewidth=2, label=role)
    # The teacher's last value is written above its point and the student's below, so that the two
    # texts do not overlap if the values are close.
    place, offset = (steps[-1], values[-1]), (9, -14 * side)
    axes.annotate(
        f"{100 * values[-1]:.1f} %",
        place,
        offset,
        textcoords="offset points",
        va="center",
        color=colour,
    )


def _draw_bars(axes: Axes, role: str, values: NDArray[np.float64], side: float) -> None:
    if not len(values):
        return
    places = np.arange(1, len(values) + 1) + side * _BAR_WIDTH
    bars = axes.bar(places, values, 0.94 * _BAR_WIDTH, color=ROLE_STYLES[role][0], label=role)
    if len(values) <= 9:
        axes.bar_label(
            bars, [f"{100 * value:.1f}" for value in values], padding=2, fontsize=8, color=INK
        )


def _finish(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(title, fontsize=12, color=INK, pad=8)
    axes.set_xlabel(x_label, color=MUTED)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    if not axes.has_data():
        axes.text(
            0.5,
            0.5,
            "needs two tasks",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=MUTED,
        )
        axes.set(xticks=[], yticks=[])
        return
    axes.yaxis.set_major_formatter(share_formatter())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.margins(x=0.12, y=0.2)
    # Put the legend at a fixed place, in the margin above the data: Matplotlib's search for the
    # best place takes seconds on a busy machine.
    axes.legend(loc="upper right", ncols=2, frameon=False, labelcolor=INK)
