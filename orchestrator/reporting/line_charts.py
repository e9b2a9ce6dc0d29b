"""Draw the line charts of an HTML page. This module imports Matplotlib only when a chart is drawn,
because Matplotlib is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.figures.chart_lines import Chart, LineChart

DrawCharts = Callable[[Sequence[LineChart]], Sequence[Chart]]
"""Function that draws line charts; the result omits charts without points."""


def draw_charts(charts: Sequence[LineChart]) -> list[Chart]:
    """Draw line charts with Matplotlib; omit charts without points."""
    from orchestrator.figures.charts import line_chart  # noqa: PLC0415 - loads Matplotlib, slowly

    return [drawn for chart in charts if (drawn := line_chart(chart)) is not None]
