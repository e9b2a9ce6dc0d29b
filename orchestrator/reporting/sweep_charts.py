"""Draw the static charts of a sweep's page. The scripts of the page replace the static charts with
interactive charts.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from orchestrator.figures.best_curves import best_curves_figure
from orchestrator.figures.importances import importance_figure
from orchestrator.figures.parallel_coordinates import parallel_coordinates_figure
from orchestrator.figures.pareto_front import pareto_front_figure
from orchestrator.figures.svg import inline_svg
from orchestrator.figures.trials import importance_caveat, in_order, num_finished
from orchestrator.reporting.sweep_facts import NUM_BEST, NUM_CURVES, SweepFacts

_MOST_LINES = 300
_MOST_INCHES = 26.0  # maximum width of a chart; wider than in a picture file, as a page can scroll


@dataclass(frozen=True, slots=True)
class SweepChart:
    """Chart of a sweep's page.

    Attributes:
        name: The name by which the page's scripts find the chart.
        title: Heading of the chart.
        drawing: The static picture.
        hint: Text that explains how to use the interactive chart.
        note: Warning about the data of the chart; empty for no warning.
        part: Text that says how much of the data the static picture shows, such as `300 of 500
            trials`; empty if it shows all data.
    """

    name: str
    title: str
    drawing: Markup
    hint: str
    note: str = ""
    part: str = ""


def sweep_charts(facts: SweepFacts) -> list[SweepChart]:
    """Draw the charts of a sweep's page; omit charts without data."""
    charts = []
    if facts.rows:
        charts.append(_parallel(facts))
    if "metrics" in facts.summary and facts.rows:
        charts.append(_front(facts))
    if any(row.student_curve for row in facts.rows):
        charts.append(_curves(facts))
    if facts.importances:
        charts.append(_importances(facts))
    return charts


def _parallel(facts: SweepFacts) -> SweepChart:
    title, metric, mode = "All trials", facts.summary["metric"], facts.summary["mode"]
    rows = in_order(facts.rows, mode)[:_MOST_LINES]
    figure = parallel_coordinates_figure(rows, metric, mode, _MOST_INCHES)
    part = f"{len(rows)} of {len(facts.rows)} trials" if len(rows) < len(facts.rows) else ""
    hint = (
        "Drag along an axis to keep only the trials whose lines pass there; click elsewhere on"
        " the axis to clear the filter. Click a line to see its curves. The curves below"
        " belong to the thick lines."
    )
    drawing = inline_svg(figure, title, is_finished=True)
    return SweepChart("parallel", title, drawing, hint, part=part)


def _front(facts: SweepFacts) -> SweepChart:
    title, best = "The front", facts.summary["best"]
    figure = pareto_front_figure(facts.rows, facts.summary["metrics"], best and best["trial"])
    hint = (
        "The front is blue, the trial chosen by the rule orange. Hover over a point to see its"
        " trial, click it to see its curves."
    )
    return SweepChart("front", title, inline_svg(figure, title, is_finished=True), hint)


def _curves(facts: SweepFacts) -> SweepChart:
    title = "Accuracy after each task"
    figure = best_curves_figure(facts.rows, facts.summary["mode"], NUM_BEST)
    hint = (
        "On test data: student solid, teacher dashed. Choose trials by their lines above or their"
        f" numbers in the leaderboard. Beyond the {NUM_CURVES} best trials, a dotted line shows the"
        " objective after each task."
    )
    return SweepChart("curves", title, inline_svg(figure, title, is_finished=True), hint)


def _importances(facts: SweepFacts) -> SweepChart:
    title = "Importance of the parameters"
    figure = importance_figure(facts.importances)
    hint = (
        "Share of each parameter in what makes a trial one of the best; the line is the 90 %"
        " interval over resampled trials."
    )
    caveat = importance_caveat(num_finished(facts.rows), len(facts.importances))
    drawing = inline_svg(figure, title, is_finished=True)
    return SweepChart("importances", title, drawing, hint, caveat)
