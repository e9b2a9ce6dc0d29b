"""Describe charts and sections in the form that MLflow's experiment page stores in a saved view.

The page stores its state as JSON in an undocumented format. The keys used here were taken from the
page of the MLflow versions in `saved_views.CHECKED_VERSIONS`; the tests open the views in Chromium.
"""

from collections.abc import Iterable, Sequence

from orchestrator.tracking import names
from orchestrator.tracking.views.view import Json

# Number of MLflow's dash patterns. In a chart of several metrics, all lines of a run have one
# colour, and differ only in their dash pattern: a larger number of metrics would repeat a pattern.
NUM_LINE_STYLES = 6
CARD_HEIGHT = 360  # height of a chart in pixels; MLflow's default

# Settings of a line chart. By default, MLflow smooths the lines.
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
    """Return a chart of several metrics over their steps. The colour of a line shows the run; the
    dash pattern shows the metric.

    Args:
        title: Title of the chart.
        metrics: Names of the metrics. A reader can distinguish at most `NUM_LINE_STYLES` lines.
        stands_for: Name of a metric that needs no other chart. MLflow creates a chart for every
            metric without a chart, and treats this chart as the chart of the metric `stands_for`.
    """
    # Without these settings, the chart's title is "a/b vs a/c vs a/d". MLflow shows other titles
    # only for charts of the system metrics of several nodes, so declare the chart as one of these.
    titled = {
        "displayName": title,
        "nodeLevelSystemMetricConfiguration": {"metric": title, "type": "node"},
    }
    return _LINE | titled | {"metricKey": stands_for, "selectedMetricKeys": list(metrics)}


def bar(metric: str) -> Json:
    """Return a bar chart of a metric's last value, with one bar for each run. The bars have the
    order of the runs in the page's list of runs.
    """
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def scatter(x_metric: str, y_metric: str) -> Json:
    """Return a scatter chart of two metrics, with one point for each run."""
    return {
        "type": "SCATTER",
        "xaxis": {"key": x_metric, "type": "METRIC"},
        "yaxis": {"key": y_metric, "type": "METRIC"},
    }


def parallel(parameters: Sequence[str], metrics: Sequence[str]) -> Json:
    """Return a parallel-coordinates chart, with one line for each run.

    The last metric determines the colour of the lines. A run that lacks a parameter or metric of
    the chart has no line.
    """
    return {
        "type": "PARALLEL",
        "selectedParams": list(parameters),
        "selectedMetrics": list(metrics),
    }


def section(
    name: str, charts: Iterable[Json], num_columns: int = 2, card_height: int = CARD_HEIGHT
) -> Json:
    """Return an expanded section of MLflow's experiment page, with the section's charts."""
    return {
        "name": name,
        "display": True,
        "columns": num_columns,
        "cardHeight": card_height,
        "charts": list(charts),
    }


def charts_state(sections: Sequence[Json], opened: Iterable[str] = ()) -> Json:
    """Return the part of the page's state that describes its charts.

    MLflow adds a chart for each metric without a chart in the given sections. It puts this chart
    into a section that is named by the prefix of the metric's name. The sections that MLflow adds
    come last, and are closed unless `opened` contains their prefix.

    Args:
        sections: Sections of the view, in order.
        opened: Prefixes of metric names.
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
        "isAccordionReordered": True,  # otherwise, the page sorts the sections by name
    }


def _metric_prefixes() -> set[str]:
    return {
        name.rpartition("/")[0] for name in (*names.all_metrics(num_tasks=1), *names.TRIAL_METRICS)
    }
