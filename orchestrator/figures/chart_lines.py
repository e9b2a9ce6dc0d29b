"""Describe line charts, and what drawing them returns. Importing this module does not import
Matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Line:
    """Line of a chart.

    Attributes:
        label: Name in the legend.
        points: (step, value) pairs; non-finite values leave gaps.
    """

    label: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Drawn chart.

    Attributes:
        title: Title above the chart.
        drawing: The SVG picture.
    """

    title: str
    drawing: Markup


@dataclass(frozen=True, slots=True)
class LineChart:
    """Chart to draw: lines over whole numbers.

    Attributes:
        title: Title of the chart, unique on its page.
        lines: Lines, whose position determines colour, marker and dashes; a line without points
            keeps its position.
        x_label: Unit of the steps.
        is_share: Whether the values are fractions, shown in percent.
    """

    title: str
    lines: Sequence[Line]
    x_label: str
    is_share: bool = True
