"""Draw line charts for an HTML page; the lines of a chart differ in colour, marker and dashes.

Charts are as wide as the screen of a phone, so that a phone shows them unscaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.figures.chart_lines import Chart, LineChart
from orchestrator.figures.layout import share_formatter
from orchestrator.figures.palette import GRID, INK, MUTED, SERIES
from orchestrator.figures.svg import inline_svg

_WIDTH_POINTS, _HEIGHT_POINTS = 360.0, 220.0
_LEGEND_POINTS, _LEGEND_LINE_POINTS, _SAMPLE_POINTS, _LETTER_POINTS = 315.0, 15.0, 44.0, 5.5
_MARKERS = "osD^vPX*"
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_MOST_MARKERS = 25
_COLOURS = [colour.light for colour in SERIES.values()]


def line_chart(chart: LineChart) -> Chart | None:
    """Draw a line chart; return None if no line has a point."""
    if not any(line.points for line in chart.lines):
        return None
    figure, axes = empty_chart()
    for place, line in enumerate(chart.lines):
        steps, values = (
            [step for step, _ in line.points],
            [value if math.isfinite(value) else math.nan for _, value in line.points],
        )
        drawn = axes.plot(
            steps, values, **line_style(place, has_markers=len(steps) <= _MOST_MARKERS)
        )
        drawn[0].set(label=line.label, zorder=3 - place / len(chart.lines))
    axes.set_xlabel(chart.x_label, color=MUTED, fontsize=9.5)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1))
    return finished_chart(
        chart.title, figure, [line.label for line in chart.lines], is_share=chart.is_share
    )


def empty_chart() -> tuple[Figure, Axes]:
    """Return an empty figure of chart size, and its plot."""
    figure = Figure(figsize=(_WIDTH_POINTS / 72, _HEIGHT_POINTS / 72), dpi=72)
    return figure, figure.subplots()


def line_style(place: int, *, has_markers: bool = True) -> dict[str, Any]:
    """Return colour, marker and dashes of a line, by its position among the lines."""
    # Markers and dashes repeat with other periods than colours, so few lines look alike.
    shifted = place + place // len(_COLOURS)
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "marker": _MARKERS[shifted % len(_MARKERS)] if has_markers else "",
        "markersize": 4.5,
        "linewidth": 1.6,
        "linestyle": _DASHES[shifted % len(_DASHES)],
    }


def finished_chart(
    title: str, figure: Figure, labels: Sequence[str], *, is_share: bool, is_whole: bool = False
) -> Chart:
    """Turn a drawn figure into a chart, adding scale, grid and legend.

    Args:
        title: Title of the chart, unique on its page.
        figure: Figure from `empty_chart`.
        labels: Labels of the legend; empty for no legend.
        is_share: Whether the values are fractions, shown in percent.
        is_whole: Whether the values are counts.
    """
    axes = figure.axes[0]
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=is_whole))
    if is_share:
        _scale_shares(axes)
    axes.tick_params(length=0, colors=INK, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    _add_legend(figure, labels)
    return Chart(title, inline_svg(figure, title))


def _scale_shares(axes: Axes) -> None:
    """Show percent, and end the scale at 0 % and 100 % unless a value lies beyond."""
    bottom, top = axes.get_ylim()
    values = axes.dataLim
    bottom = max(bottom, 0.0) if values.ymin >= 0 else bottom
    top = min(top, 1.0) if values.ymax <= 1 else top
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # every step divides 100 %
    axes.yaxis.set_major_formatter(share_formatter())
    for line in axes.lines:
        line.set_clip_on(False)  # draw markers on the border in full


def _add_legend(figure: Figure, labels: Sequence[str]) -> None:
    longest = max(map(len, labels), default=0)
    num_columns = max(
        1, min(len(labels), int(_LEGEND_POINTS / (_SAMPLE_POINTS + _LETTER_POINTS * longest)))
    )
    height_points = _LEGEND_LINE_POINTS * math.ceil(len(labels) / num_columns)
    figure.subplots_adjust(
        left=0.125, right=0.985, bottom=0.165, top=1 - (height_points + 6) / _HEIGHT_POINTS
    )
    if not labels:
        return
    figure.legend(
        loc="upper left", bbox_to_anchor=(0.1, 1.0), ncols=num_columns, frameon=False, fontsize=9,
        labelcolor=INK, borderpad=0.1, handlelength=2.6, labelspacing=0.3, columnspacing=1.4,
    )  # fmt: skip
