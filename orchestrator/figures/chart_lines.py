"""Define `LineChart`, the data of a line chart, and `Chart`, a chart drawn as SVG. Importing this
module does not import Matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Line:
    """Line of a chart.

    Attributes:
        label: Name of the line in the legend.
        points: (x, y) pairs; a non-finite y leaves a gap in the line.
    """

    label: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Drawn chart, ready for an HTML page.

    Attributes:
        title: Title above the chart.
        drawing: The SVG picture.
    """

    title: str
    drawing: Markup


@dataclass(frozen=True, slots=True)
class LineChart:
    """Line chart to draw. The x values are whole numbers, such as epochs.

    Attributes:
        title: Title of the chart, unique on its page.
        lines: The lines. The position of a line in this sequence determines its colour, marker and
            dashes; a line without points also takes a position.
        x_label: Label of the x axis, such as `epoch`.
        is_share: Whether the y values are fractions, shown in percent.
    """

    title: str
    lines: Sequence[Line]
    x_label: str
    is_share: bool = True
