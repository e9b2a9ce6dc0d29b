"""Charts and sections as MLflow's experiment page stores them in a saved view.

The page keeps its state as JSON in an undocumented format: the names here were read from MLflow's
own page (see `saved_views.CHECKED_VERSIONS`), and the tests look at the result in Chromium.
"""

from collections.abc import Iterable, Sequence

from orchestrator.tracking import names
from orchestrator.tracking.views.view import Json

# Lines of one run differ only in their dashes, of which MLflow has this many kinds; a further
# metric would look like the first one.
NUM_LINE_STYLES = 6
CARD_HEIGHT = 360  # pixels; MLflow's own

# Without these settings, MLflow smooths a chart.
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
    """Return a chart of a metric over its steps, one line per run, titled with its name."""
    return _LINE | {"metricKey": metric, "selectedMetricKeys": [metric]}


def lines(title: str, metrics: Sequence[str], stands_for: str) -> Json:
    """Return a chart of several metrics over their steps: colour shows the run, dashes the metric.

    Args:
        title: Title of the chart.
        metrics: At most `NUM_LINE_STYLES` can be distinguished.
        stands_for: A metric for which MLflow then makes no chart of its own, since it takes this
            chart for it.
    """
    # MLflow would write "a/b vs a/c vs a/d" above it; it shows a title only above the charts that
    # it makes for several nodes.
    titled = {
        "displayName": title,
        "nodeLevelSystemMetricConfiguration": {"metric": title, "type": "node"},
    }
    return _LINE | titled | {"metricKey": stands_for, "selectedMetricKeys": list(metrics)}


def bar(metric: str) -> Json:
    """Return a bar chart of a metric's last value, one bar per run, in the order of the list."""
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
    """Return the page's state of its charts.

    MLflow itself adds a chart for each metric that it finds, in a section named by the metric's
    prefix. Those sections come after ours, closed, so everything else is one click away.

    Args:
        sections: Our sections, in order.
        opened: Prefixes whose section is open nevertheless.
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
