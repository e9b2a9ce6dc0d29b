"""Charts and sections as MLflow's experiment page stores them in a saved view.

The page keeps what it shows as JSON. That format is nowhere documented: the names here were read in
MLflow's own page (see `saved_views.CHECKED_VERSIONS`) and are looked at in Chromium by the tests.
"""

from collections.abc import Iterable, Sequence

from orchestrator.tracking import names
from orchestrator.tracking.views.view import Json

# Lines of one run differ only in their dashes, and MLflow has so many; a further metric would look
# like the first one.
NUM_LINE_STYLES = 6
CARD_HEIGHT = 360  # pixels; MLflow's own

# MLflow smooths a chart that does not say otherwise.
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
    """A metric over its steps, one line a run, under the metric's name."""
    return _LINE | {"metricKey": metric, "selectedMetricKeys": [metric]}


def lines(title: str, metrics: Sequence[str], stands_for: str) -> Json:
    """Several metrics over their steps: the colour is the run, the dashes are the metric.

    Args:
        title: Of the chart.
        metrics: At most `NUM_LINE_STYLES` can be told apart.
        stands_for: The metric for which MLflow makes no chart of its own any more, since it takes
            this one for it.
    """
    # MLflow would write "a/b vs a/c vs a/d" above it; it shows a title only above the charts that
    # it makes for several nodes.
    titled = {
        "displayName": title,
        "nodeLevelSystemMetricConfiguration": {"metric": title, "type": "node"},
    }
    return _LINE | titled | {"metricKey": stands_for, "selectedMetricKeys": list(metrics)}


def bar(metric: str) -> Json:
    """The last value of a metric, one bar a run, in the order of the list of runs."""
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def scatter(x_metric: str, y_metric: str) -> Json:
    """One point a run."""
    return {
        "type": "SCATTER",
        "xaxis": {"key": x_metric, "type": "METRIC"},
        "yaxis": {"key": y_metric, "type": "METRIC"},
    }


def parallel(parameters: Sequence[str], metrics: Sequence[str]) -> Json:
    """One line a run across all axes, coloured by the last metric; a run that lacks one of them has
    no line.
    """
    return {
        "type": "PARALLEL",
        "selectedParams": list(parameters),
        "selectedMetrics": list(metrics),
    }


def section(
    name: str, charts: Iterable[Json], num_columns: int = 2, card_height: int = CARD_HEIGHT
) -> Json:
    """An open section of the page, with its charts."""
    return {
        "name": name,
        "display": True,
        "columns": num_columns,
        "cardHeight": card_height,
        "charts": list(charts),
    }


def charts_state(sections: Sequence[Json], opened: Iterable[str] = ()) -> Json:
    """What the page remembers of its charts.

    MLflow itself adds a chart for every metric that it finds, in a section by the metric's prefix.
    Those sections come after ours, closed, so that everything else stays one click away.

    Args:
        sections: Ours, in order.
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
