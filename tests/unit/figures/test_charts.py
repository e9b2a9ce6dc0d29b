import re
import xml.etree.ElementTree as ET

import pytest

from orchestrator.figures.chart_lines import Line, LineChart
from orchestrator.figures.charts import empty_chart, finished_chart, line_chart


def drawn(*lines: Line) -> str:
    chart = line_chart(LineChart("A <chart> & more", lines, "task"))
    assert chart is not None
    return str(chart.drawing)


def test_a_chart_is_well_formed_and_takes_its_colours_from_the_page() -> None:
    svg = drawn(Line("Teacher", [(1, 0.9), (2, 0.8)]), Line("Student", [(1, 0.7), (2, 0.6)]))
    ET.fromstring(svg)  # noqa: S314 - our own text
    assert {"var(--series-1)", "var(--series-2)", "var(--ink)", "var(--grid)"} <= set(
        re.findall(r"var\(--[\w-]+\)", svg)
    )
    assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)), "a colour that no page can turn dark"
    assert 'aria-label="A &lt;chart&gt; &amp; more"' in svg
    assert "<style" not in svg
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg), "nothing is fetched"


def test_lines_differ_by_more_than_colour() -> None:
    svg = drawn(*(Line(str(place), [(1, 0.1 * place), (2, 0.5)]) for place in range(4)))
    dashes = set(re.findall(r"stroke-dasharray: ([^;\"]*)", svg))
    assert len(dashes) == 3, "and the first one is solid"


def test_no_two_of_twenty_lines_look_the_same() -> None:
    svg = drawn(*(Line(str(place), [(1, place), (2, place + 1.0)]) for place in range(20)))
    styles = re.findall(
        r'style="(fill: none; stroke-dasharray[^"]*|fill: none; stroke: var\(--series[^"]*)"', svg
    )
    looks = {
        re.sub(r"(?:stroke-width|stroke-linecap|fill)[^;]*;? ?", "", style) for style in styles
    }
    assert len(looks) == 20


def test_a_non_finite_value_leaves_a_gap() -> None:
    svg = drawn(Line("loss", [(1, 1.0), (2, float("inf")), (3, float("nan")), (4, 2.0)]))
    assert "nan" not in svg.lower().replace("dominant", "")
    assert "inf" not in svg


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([1.0, 0.9], (0.89, 1.0)),
        ([1.0, 1.0], (0.9, 1.0)),
        ([0.0, 0.0], (0.0, 0.1)),
        ([0.0, 1.0], (0.0, 1.0)),
        ([-0.2, 1.2], (-0.3, 1.3)),
    ],
)
def test_a_scale_of_fractions_stays_within_0_and_100_percent_unless_values_exceed_it(
    values: list[float], limits: tuple[float, float]
) -> None:
    figure, axes = empty_chart()
    axes.plot([1, 2], values)
    finished_chart("shares", figure, [], is_share=True)
    bottom, top = axes.get_ylim()
    assert limits[0] <= bottom <= min(values)
    assert max(values) <= top <= limits[1]


def test_without_a_point_there_is_no_chart() -> None:
    assert line_chart(LineChart("none", [Line("a", [])], "task")) is None


def test_two_charts_on_one_page_share_no_names() -> None:
    first, second = (
        line_chart(LineChart(title, [Line("a", [(1, 0.5), (2, 0.6)])], "task"))
        for title in ("first", "second")
    )
    assert first is not None
    assert second is not None
    ids = [set(re.findall(r' id="([^"]*)"', chart.drawing)) for chart in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
