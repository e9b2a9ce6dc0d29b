"""Define the colours of an accuracy matrix: scale, cells, and readable text on them.

Pictures and the tables of HTML pages use the same colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_hex

Rgb: TypeAlias = tuple[float, float, float]

# One hue from light to dark: the order survives colour blindness and a black-and-white printer.
# White is not part of the scale: it means a task not yet learned.
ACCURACY_COLOURS = LinearSegmentedColormap.from_list(
    "accuracy", ["#e1eaf3", "#b0cde5", "#4f94c4", "#0f5c95", "#06304f"]
)
# Every picture has the same scale, so that runs are comparable; the power stretches the range from
# 80 to 100 %, where good runs differ.
ACCURACY_SCALE = PowerNorm(gamma=3.0, vmin=0.0, vmax=1.0)
# Colours for worse, equal and better: distinguishable with every kind of colour blindness, and by
# the sign in each cell.
_DIFFERENCE_COLOURS = LinearSegmentedColormap.from_list(
    "difference", ["#7a2f00", "#d9853b", "#f2f2f0", "#4f94c4", "#06304f"]
)
_FULL_DIFFERENCE = 0.3
_SPREAD = 0.6  # exponent that makes small differences, which matter most, more distinct
# Black and white text are equally readable on this luminance (WCAG 2).
_EQUAL_CONTRAST_LUMINANCE = math.sqrt(1.05 * 0.05) - 0.05


@dataclass(frozen=True, slots=True)
class CellColours:
    """Colours of a cell and of its text, as #rrggbb."""

    background: str
    text: str


def accuracy_colours(accuracy: float) -> CellColours:
    """Return the colours of a table cell with an accuracy (a fraction)."""
    return _colours(cell_colour(accuracy))


def difference_colours(difference: float) -> CellColours:
    """Return the colours of a table cell with the difference of two accuracies (fractions)."""
    strength = min(1.0, abs(difference) / _FULL_DIFFERENCE) ** _SPREAD
    red, green, blue, _ = _DIFFERENCE_COLOURS(0.5 + math.copysign(strength / 2, difference))
    return _colours((red, green, blue))


def cell_colour(accuracy: float) -> Rgb:
    """Return red, green and blue (0 … 1) of the cell for an accuracy."""
    red, green, blue, _ = ACCURACY_COLOURS(float(ACCURACY_SCALE(accuracy)))
    return red, green, blue


def text_colour(accuracy: float) -> str:
    """Return black or white, whichever has more contrast on the cell of an accuracy."""
    return readable_on(cell_colour(accuracy))


def readable_on(background: Rgb) -> str:
    """Return black or white, whichever text colour has more contrast on a background.

    The contrast is at least 4.5 (WCAG AA) on every background.
    """
    return "white" if luminance(background) < _EQUAL_CONTRAST_LUMINANCE else "black"


def luminance(colour: Rgb) -> float:
    """Return the relative luminance by WCAG 2: 0 for black, 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def _colours(background: Rgb) -> CellColours:
    return CellColours(to_hex(background), to_hex(readable_on(background)))
