"""Draw an accuracy matrix as a heat map: cells, axes and colour scale."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orchestrator.figures.matrix_colours import ACCURACY_COLOURS, ACCURACY_POWER, text_colour
from orchestrator.figures.palette import INK, MUTED

_SCALE_TICKS = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)


def draw_matrix(axes: Axes, values: NDArray[np.float64], title: str, side_inches: float) -> None:
    """Fill a plot with the cells of a square matrix.

    Args:
        axes: An empty plot.
        values: `values[i, j]` = accuracy (a fraction) on task j after learning task i; NaN leaves a
            cell empty.
        title: Title above the cells.
        side_inches: Approximate side of the square, which determines the size of the text in the
            cells.
    """
    num_tasks = len(values)
    axes.imshow(np.ma.masked_invalid(values), **_scale())
    decimals = 1 if num_tasks <= 12 else 0
    font_size = min(12.0, 0.28 * 72 * side_inches / num_tasks)
    for (i, j), value in np.ndenumerate(values):
        if not math.isnan(value):
            text = f"{100 * value:.{decimals}f}"
            axes.text(
                j, i, text, ha="center", va="center", fontsize=font_size, color=text_colour(value)
            )
    labels = [str(task + 1) for task in range(num_tasks)]
    axes.set_xticks(range(num_tasks), labels)
    axes.set_yticks(range(num_tasks), labels)
    axes.set_xlabel("tested on task", color=MUTED)
    axes.set_ylabel("after learning task", color=MUTED)
    axes.set_title(title, fontsize=12, color=INK, pad=10)
    _draw_seams(axes, num_tasks)


def name_tasks(axes: Axes, class_names_per_task: Sequence[Sequence[str]]) -> None:
    """Write the classes of each task under the task's number."""
    labels = [
        f"task {task + 1}\n{_listed(class_names)}"
        for task, class_names in enumerate(class_names_per_task)
    ]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel("tested on (its classes below)", color=MUTED)


def draw_scale(figure: Figure, axes: Axes) -> None:
    """Draw the colour bar, which shows the colour of each accuracy, into an empty plot."""
    bar = figure.colorbar(ScalarMappable(**_scale()), cax=axes)
    bar.set_ticks(_SCALE_TICKS, labels=[f"{100 * tick:.0f} %" for tick in _SCALE_TICKS])
    bar.ax.tick_params(length=0, labelsize=9, colors=MUTED)
    bar.outline.set_visible(False)


def _scale() -> dict[str, Any]:
    """Return the colour map and the normalisation with which Matplotlib gives heat maps the same
    colours as the tables of HTML pages.
    """
    return {
        "cmap": LinearSegmentedColormap.from_list("accuracy", ACCURACY_COLOURS),
        "norm": PowerNorm(gamma=ACCURACY_POWER, vmin=0.0, vmax=1.0),
    }


def _listed(class_names: Sequence[str]) -> str:
    # Short class names share one line, longer class names get one line each. There are at
    # most four lines per task, because more lines would shrink the cells of the matrix.
    if len(", ".join(class_names)) <= 8:
        return ", ".join(class_names)
    shown = (
        list(class_names)
        if len(class_names) <= 4
        else [*class_names[:3], f"+{len(class_names) - 3}"]
    )
    return "\n".join(name if len(name) <= 9 else f"{name[:8]}…" for name in shown)


def _draw_seams(axes: Axes, num_tasks: int) -> None:
    # The white lines between the cells are the grid of the axes' minor ticks.
    edges = np.arange(num_tasks + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=INK)
    axes.spines[:].set_visible(False)
