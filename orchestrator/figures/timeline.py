"""Draw charts of a history for an HTML page: lines over dates, and bars for successive counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from matplotlib.axes import Axes

from orchestrator.figures.chart_lines import Chart
from orchestrator.figures.charts import empty_chart, finished_chart, line_style
from orchestrator.figures.palette import MUTED, SERIES

_LEAST_SPAN = timedelta(minutes=10)
_MOST_TICKS = 6
_STEPS = (
    *(timedelta(minutes=minutes) for minutes in (2, 5, 10, 30)),
    *(timedelta(hours=hours) for hours in (1, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 30, 60, 180, 365, 730, 3650)),
)
_MOST_BARS = 24


@dataclass(frozen=True, slots=True)
class DatedLine:
    """Line of a timeline.

    Attributes:
        label: Name of the line in the legend.
        points: (moment, value) pairs in chronological order.
        is_step: Whether each value lasts until the next point, drawn as steps. If False, the points
            are drawn without a line.
    """

    label: str
    points: Sequence[tuple[datetime, float]]
    is_step: bool = True


def timeline(
    title: str, lines: Sequence[DatedLine], until: datetime, is_share: bool = True
) -> Chart | None:
    """Draw values over dates; return None if no line has a point.

    Args:
        title: Title of the chart, unique on its page.
        lines: The lines. The position of a line in this sequence determines its colour and marker;
            lines without points are omitted.
        until: End of the x axis. A line drawn as steps keeps its last value until this moment.
        is_share: Whether the values are fractions, shown in percent. If False, they are counts.
    """
    shown = [(place, line) for place, line in enumerate(lines) if line.points]
    if not shown:
        return None
    figure, axes = empty_chart()
    for place, line in shown:
        points = [*line.points, (until, line.points[-1][1])] if line.is_step else line.points
        style = line_style(place) | ({} if line.is_step else {"linestyle": "", "markersize": 7})
        marked = range(len(line.points))  # the end point added to a step line gets no marker
        axes.plot(
            [moment.timestamp() for moment, _ in points],
            [value for _, value in points],
            drawstyle="steps-post" if line.is_step else "default",
            markevery=[*marked],
            label=line.label,
            **style,
        )
    _scale_dates(axes, min(line.points[0][0] for _, line in shown), until)
    labels = [line.label for _, line in shown]
    return finished_chart(title, figure, labels, is_share=is_share, is_whole=not is_share)


def bar_chart(title: str, bars: Sequence[tuple[str, float]], x_label: str) -> Chart | None:
    """Draw one bar for each of the last 24 values; return None if there is no value.

    Args:
        title: Title of the chart, unique on its page.
        bars: (name, count) pairs, in the order in which the bars are drawn.
        x_label: Label of the x axis; says what the names of the bars are.
    """
    shown = bars[-_MOST_BARS:]
    if not shown:
        return None
    figure, axes = empty_chart()
    axes.bar(
        range(len(shown)),
        [value for _, value in shown],
        width=0.7 if len(shown) > 3 else 0.35,
        color=SERIES["series-1"].light,
    )
    axes.set_xlim(-0.6, max(len(shown), 4) - 0.4)
    step = 1 + len(shown) // 13
    axes.set_xticks(range(0, len(shown), step), [name for name, _ in shown[::step]])
    axes.set_xlabel(x_label, color=MUTED, fontsize=9.5)
    return finished_chart(title, figure, [], is_share=False, is_whole=True)


def _scale_dates(axes: Axes, begin: datetime, end: datetime) -> None:
    """Set the range and the tick labels of the x axis, whose values are seconds since 1970."""
    end = max(end, begin + _LEAST_SPAN)
    span = (end - begin).total_seconds()
    axes.set_xlim(begin.timestamp() - 0.03 * span, end.timestamp() + 0.06 * span)
    ticks = date_ticks(begin, end)
    axes.set_xticks([moment.timestamp() for moment, _ in ticks], [name for _, name in ticks])
    years = dict.fromkeys([f"{begin:%Y}", f"{end:%Y}"])
    axes.set_xlabel(" to ".join(years), color=MUTED, fontsize=9.5)


def date_ticks(begin: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Return the ticks of a time axis: at most seven evenly spaced moments in UTC, such as the full
    hours, each with its label.
    """
    step = next((it for it in _STEPS if (end - begin) / it <= _MOST_TICKS), _STEPS[-1])
    seconds = step.total_seconds()
    first = -(-begin.timestamp() // seconds) * seconds
    moments = [
        datetime.fromtimestamp(first + place * seconds, UTC) for place in range(_MOST_TICKS + 1)
    ]
    return [(moment, _named(moment, step)) for moment in moments if moment <= end]


def _named(moment: datetime, step: timedelta) -> str:
    if step >= timedelta(days=180):
        return f"{moment:%b %Y}"
    day = f"{moment.day} {moment:%b}"
    return day if step >= timedelta(days=1) else f"{moment:%H:%M}\n{day}"
