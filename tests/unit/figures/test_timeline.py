"""Charts over dates."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.figures.timeline import DatedLine, bar_chart, date_ticks, timeline

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "names"),
    [
        (timedelta(minutes=10), ["12:00\n1 Mar", "12:02\n1 Mar", "12:04\n1 Mar"]),
        (timedelta(days=4), ["2 Mar", "3 Mar", "4 Mar", "5 Mar"]),
        (timedelta(days=900), ["Mar 2026", "Sep 2026", "Mar 2027", "Aug 2027", "Feb 2028"]),
    ],
    ids=["minutes", "days", "years"],
)
def test_dates_are_round_and_show_only_what_distinguishes_them(
    span: timedelta, names: list[str]
) -> None:
    found = date_ticks(BEGAN, BEGAN + span)
    assert [name for _, name in found][: len(names)] == names
    assert len(found) <= 7
    assert all(BEGAN <= moment <= BEGAN + span for moment, _ in found)


@pytest.mark.parametrize("days", [0, 0.1, 3, 50, 400, 4000, 40_000])
def test_every_span_has_at_least_two_dates(days: float) -> None:
    end = BEGAN + timedelta(days=days) + timedelta(minutes=10)
    assert 2 <= len(date_ticks(BEGAN, end)) <= 7


def test_a_timeline_is_well_formed_and_has_one_marker_per_event() -> None:
    line = DatedLine("Champion", [(BEGAN, 0.9), (BEGAN + timedelta(days=2), 0.8)])
    other = DatedLine("held <b>", [(BEGAN + timedelta(days=1), 0.7)], is_step=False)
    chart = timeline("Accuracy", [line, other], BEGAN + timedelta(days=5))
    assert chart is not None
    ET.fromstring(str(chart.drawing))  # noqa: S314 - our own text
    assert "held &lt;b&gt;" in chart.drawing
    assert "2026" in chart.drawing
    uses = re.findall(r"<use ", str(chart.drawing))
    # two of the champion, one of the other line, and one of each in the legend
    assert len(uses) == 2 + 1 + 2


def test_without_a_point_there_is_no_chart() -> None:
    assert timeline("none", [DatedLine("a", [])], BEGAN) is None
    assert bar_chart("none", [], "version") is None


def test_a_bar_chart_shows_the_last_bars_with_their_names() -> None:
    chart = bar_chart("Images", [(f"v{number}", float(number)) for number in range(40)], "version")
    assert chart is not None
    ET.fromstring(str(chart.drawing))  # noqa: S314 - our own text
    assert "v16" in chart.drawing
    assert "v15" not in chart.drawing
