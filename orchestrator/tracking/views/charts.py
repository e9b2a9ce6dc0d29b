"""Describe charts and sections in the form that MLflow's experiment page stores in a saved view.

The page keeps its state as JSON in an undocumented format: the names here were read from MLflow's
own page (see `saved_views.CHECKED_VERSIONS`), and the tests look at the result in Chromium.
"""

from collections.abc import Iterable, Sequence

from orchestrator.tracking import names
from orchestrator.tracking.views.view import Json

# The lines of one run in a chart differ only in their dashes. MLflow has this many kinds of dashes;
# the line of a further metric would look like the first.
NUM_LINE_STYLES = 6
CARD_HEIGHT = 360  # height in pixels; MLflow's default

# Without these settings, MLflow smooths the lines of a chart.
_LINE: Json = {
    "type": "LINE",
    "lineSmoothness": 0,
    "useGlobalLineSmoothing": True,
    "xAxisKey": "step",
    "useGlobalXaxisKey": True,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "range": {},
}


def line(metric: str) -> Json:
    """Return a chart of a metric over its steps, with one line per run and the metric as title."""
    return _LINE | {"metricKey": metric, "selectedMetricKeys": [metric]}


def lines(title: str, metrics: Sequence[str], stands_for: str) -> Json:
    """Return a chart of several metrics over their steps: colour shows the run, dashes the metric.

    Args:
        title: Title of the chart.
        metrics: Metrics to draw; a reader can distinguish at most `NUM_LINE_STYLES`.
        stands_for: A metric. MLflow takes this chart for that metric's chart, and creates no chart
            of its own for the metric.
    """
    # MLflow would write "a/b vs a/c vs a/d" above the chart. It shows a title only above charts in
    # the form of the charts that it creates for several nodes.
    titled = {
        "displayName": title,
        "nodeLevelSystemMetricConfiguration": {"metric": title, "type": "node"},
    }
    return _LINE | titled | {"metricKey": stands_for, "selectedMetricKeys": list(metrics)}


def bar(metric: str) -> Json:
    """Return a bar chart of a metric's last value, one bar per run, in the order of the page's
    list.
    """
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def scatter(x_metric: str, y_metric: str) -> Json:
    """Return a scatter chart with one point per run."""
    return {
        "type": "SCATTER",
        "xaxis": {"key": x_metric, "type": "METRIC"},
        "yaxis": {"key": y_metric, "type": "METRIC"},
    }


def parallel(parameters: Sequence[str], metrics: Sequence[str]) -> Json:
    """Return a parallel-coordinates chart: one line per run, coloured by the last metric; a run
    that lacks a value has no line.
    """
    return {
        "type": "PARALLEL",
        "selectedParams": list(parameters),
        "selectedMetrics": list(metrics),
    }


def section(
    name: str, charts: Iterable[Json], num_columns: int = 2, card_height: int = CARD_HEIGHT
) -> Json:
    """Return an open section of the page, with its charts."""
    return {
        "name": name,
        "display": True,
        "columns": num_columns,
        "cardHeight": card_height,
        "charts": list(charts),
    }


def charts_state(sections: Sequence[Json], opened: Iterable[str] = ()) -> Json:
    """Return the part of the page's state that describes its charts.

    MLflow itself adds a chart for each metric that it finds, in a section named by the metric's
    prefix. Those sections are closed and come after the given ones, so that every other metric is
    one click away.

    Args:
        sections: Sections of the view, in order.
        opened: Prefixes of those sections of MLflow that are open nevertheless.
    """
    open_prefixes = set(opened)
    generated = [
        {"name": prefix, "display": prefix in open_prefixes, "charts": []}
        for prefix in sorted(
            _metric_prefixes(), key=lambda prefix: (prefix not in open_prefixes, prefix)
        )
    ]
    numbered = [
        {**each, "uuid": f"section-{place}"} for place, each in enumerate([*sections, *generated])
    ]
    return {
        "compareRunSections": [
            {key: value for key, value in each.items() if key != "charts"} for each in numbered
        ],
        "compareRunCharts": [
            {**chart, "uuid": f"{each['uuid']}-chart-{place}", "metricSectionId": each["uuid"]}
            for each in numbered
            for place, chart in enumerate(each["charts"])
        ],
        "isAccordionReordered": True,  # otherwise the page sorts the sections by name
    }


def _metric_prefixes() -> set[str]:
    return {
        name.rpartition("/")[0] for name in (*names.all_metrics(num_tasks=1), *names.TRIAL_METRICS)
    }
