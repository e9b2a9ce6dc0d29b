"""Draw the line charts of a page. Importing this module does not import Matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.figures.chart_lines import Chart, LineChart

DrawCharts = Callable[[Sequence[LineChart]], Sequence[Chart]]
"""Draws charts; a chart without points is left out."""


def draw_charts(charts: Sequence[LineChart]) -> list[Chart]:
    """Draw charts with Matplotlib, except those without points."""
    from orchestrator.figures.charts import line_chart  # noqa: PLC0415 - loads Matplotlib, slowly

    return [drawn for chart in charts if (drawn := line_chart(chart)) is not None]
