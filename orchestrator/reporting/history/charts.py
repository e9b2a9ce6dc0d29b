"""Draw the charts of a history page.

To add a chart to the page of every retraining, extend `history_charts`. Charts for only some
retrainings are passed to `history_page` as a `ChartGroup`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.figures.chart_lines import Chart, LineChart
from orchestrator.figures.charts import line_chart
from orchestrator.figures.timeline import DatedLine, bar_chart, timeline
from orchestrator.reporting.history.classes import spread_lines
from orchestrator.reporting.history.facts import History


@dataclass(frozen=True)
class ChartGroup:
    """Additional section of a history page that shows charts.

    Attributes:
        title: The title of the section.
        words: A sentence that explains the charts.
        charts: The charts of the section.
    """

    title: str
    words: str
    charts: Sequence[Chart]


def history_charts(history: History, now: datetime) -> list[Chart]:
    """Draw the charts of a retraining's history up to the time `now`; omit charts without data."""
    charts = [
        timeline("Accuracy over time: all classes that a version knows", _accuracies(history), now),
        timeline("Classes that the champion knows", _num_classes(history), now, is_share=False),
        bar_chart("New images that each version learned from", _volumes(history), "version"),
        line_chart(
            LineChart(
                "Classes of the champion’s student: median and worst",
                spread_lines(history, "student"),
                "version",
            )
        ),
    ]
    return [chart for chart in charts if chart is not None]


def _accuracies(history: History) -> list[DatedLine]:
    champions = [
        DatedLine(
            f"Champion’s {role}",
            [(reign.since, reign.version.accuracy[role]) for reign in history.reigns],
        )
        for role in ("teacher", "student")
    ]
    others = [version for version in history.versions if not version.has_reigned]
    states = dict.fromkeys(version.state for version in others)
    return champions + [
        DatedLine(
            f"Student, {state}",
            [
                (version.registered, version.accuracy["student"])
                for version in others
                if version.state == state
            ],
            is_step=False,
        )
        for state in states
    ]


def _num_classes(history: History) -> list[DatedLine]:
    points = [(reign.since, float(reign.version.num_classes)) for reign in history.reigns]
    return [DatedLine("Classes", points)]


def _volumes(history: History) -> list[tuple[str, float]]:
    return [
        (str(version.student), float(version.delivery.total))
        for version in history.versions
        if version.delivery is not None and version.delivery.total
    ]
