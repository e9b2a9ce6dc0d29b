"""Draw charts of a retraining's monitoring of unlabelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.figures.chart_lines import Chart, Line, LineChart
from orchestrator.figures.charts import line_chart

_X_LABEL = "measurement of new images without labels"


@dataclass(frozen=True, slots=True)
class MonitoringPoint:
    """Measurement on new unlabelled images. Shares and distances are fractions in [0, 1].

    Attributes:
        number: Number of the measurement, from 1.
        agreement: Share of the new images on which the champion's student and teacher agree.
        held_out_agreement: Share of the held-out images on which student and teacher agree.
        far_share: Share of the new images that are far from every class.
        expected_far_share: Expected value of `far_share` if new images are like held-out ones.
        class_distance: Distance between the predicted classes of new and of held-out images.
    """

    number: int
    agreement: float
    held_out_agreement: float
    far_share: float
    expected_far_share: float
    class_distance: float


def monitoring_charts(points: Sequence[MonitoringPoint]) -> list[Chart]:
    """Return the charts of all measurements; empty if there are none.

    Args:
        points: The measurements, oldest first.
    """

    def line(label: str, name: str) -> Line:
        return Line(label, [(point.number, getattr(point, name)) for point in points])

    charts = [
        line_chart(
            LineChart(
                "Images without labels: student and teacher agree",
                [line("New images", "agreement"), line("Held-out images", "held_out_agreement")],
                _X_LABEL,
            )
        ),
        line_chart(
            LineChart(
                "Images without labels: far from every class, and moved to other classes",
                [
                    line("Far from every class", "far_share"),
                    line("Far, expected", "expected_far_share"),
                    line("Moved to other classes", "class_distance"),
                ],
                _X_LABEL,
            )
        ),
    ]
    return [chart for chart in charts if chart is not None]
