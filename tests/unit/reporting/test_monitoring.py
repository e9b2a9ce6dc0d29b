"""Charts of monitoring results."""

import re
from dataclasses import replace

from orchestrator.reporting.history.charts import ChartGroup
from orchestrator.reporting.history.facts import History
from orchestrator.reporting.history.page import history_page
from orchestrator.reporting.monitoring import MonitoringPoint, monitoring_charts
from tests.made_up_history import NOW

QUIET = MonitoringPoint(1, 0.95, 0.96, 0.05, 0.05, 0.1)
LOUD = MonitoringPoint(2, 0.6, 0.96, 0.5, 0.05, 0.4)


def test_without_monitoring_points_there_is_no_chart() -> None:
    assert monitoring_charts([]) == []


def test_agreement_far_images_and_drift_are_drawn_over_the_monitoring_points() -> None:
    agreement, far = monitoring_charts([QUIET, LOUD])
    for label in ("New images", "Held-out images"):
        assert label in agreement.drawing
    for label in ("Far from every class", "Far, expected", "Moved to other classes"):
        assert label in far.drawing
    later = monitoring_charts([QUIET, replace(LOUD, far_share=0.9)])[1]
    assert later.drawing != far.drawing


def test_the_history_page_of_a_retraining_has_the_charts() -> None:
    group = ChartGroup("Unlabeled", "", monitoring_charts([QUIET, LOUD]))
    without = history_page(History("house"), NOW)
    page = history_page(History("house"), NOW, more_charts=[group])
    titles = re.findall(r"Images without labels: [\w, ]+", page)
    assert len({*titles}) == 2
    assert "Images without labels" not in without
