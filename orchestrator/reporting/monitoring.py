"""Draw charts of how a retraining's champion classifies newly arrived images without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.figures.chart_lines import Chart, Line, LineChart
from orchestrator.figures.charts import line_chart

_X_LABEL = "measurement of new images without labels"


@dataclass(frozen=True, slots=True)
class MonitoringPoint:
    """One measurement of the champion on new images without labels, compared with held-out images.
    Shares and distances are fractions in [0, 1].

    Attributes:
        number: Number of the measurement, from 1.
        agreement: Share of new images for which the champion's student and teacher predict the same
            class.
        held_out_agreement: Share of held-out images for which student and teacher predict the same
            class.
        far_share: Share of new images that are far from every class.
        expected_far_share: The `far_share` to expect if new images resemble held-out images.
        class_distance: Distance between the distribution of predicted classes of new images and
            that of held-out images.
    """

    number: int
    agreement: float
    held_out_agreement: float
    far_share: float
    expected_far_share: float
    class_distance: float


def monitoring_charts(points: Sequence[MonitoringPoint]) -> list[Chart]:
    """Draw the charts of a retraining's measurements on new images without labels, by successive
    champions; return no chart if there are no measurements.

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
