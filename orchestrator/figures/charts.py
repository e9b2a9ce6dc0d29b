"""Draw line charts for an HTML page; the lines of a chart differ in colour, marker and dashes.

Charts are as narrow as a phone's screen, so that a phone shows them at full size.
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
    """Return an empty figure of the size of a chart, and the plot in this figure."""
    figure = Figure(figsize=(_WIDTH_POINTS / 72, _HEIGHT_POINTS / 72), dpi=72)
    return figure, figure.subplots()


def line_style(place: int, *, has_markers: bool = True) -> dict[str, Any]:
    """Return the style of a chart's line: colour, marker, dashes and sizes.

    Args:
        place: Position of the line among the lines of the chart, from 0.
        has_markers: Whether to mark each point of the line.
    """
    # Each time the colours repeat, markers and dashes shift by one. So two lines of one colour
    # still look different.
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
    """Add scale, grid and legend to a figure with drawn lines or bars, and return it as a chart.

    Args:
        title: Title of the chart, unique on its page.
        figure: Figure from `empty_chart`, on which the lines or bars are drawn.
        labels: Labels of the legend; empty for no legend.
        is_share: Whether the y values are fractions, shown in percent.
        is_whole: Whether the y values are counts, which need whole numbers on the scale.
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
    """Label the y axis in percent. The axis extends below 0 % or above 100 % only if a value is
    outside that range.
    """
    bottom, top = axes.get_ylim()
    values = axes.dataLim
    bottom = max(bottom, 0.0) if values.ymin >= 0 else bottom
    top = min(top, 1.0) if values.ymax <= 1 else top
    axes.set_ylim(bottom, top)
    # Every allowed step divides 100 %, so a tick can fall exactly on 100 %.
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(share_formatter())
    for line in axes.lines:
        line.set_clip_on(False)  # do not cut off markers at the border of the plot


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
