"""Define the colours of an accuracy matrix: the colour scale, the colours of its cells, and text
colours that are readable on the cells.

Picture files and the tables of HTML pages use the same colours.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Rgb: TypeAlias = tuple[float, float, float]

# Colours of accuracies: one hue from light to dark, so that readers with colour blindness, and
# readers of a black-and-white print, still see which accuracy is higher. White means a task that is
# not learned yet.
ACCURACY_COLOURS = ("#e1eaf3", "#b0cde5", "#4f94c4", "#0f5c95", "#06304f")
# Every picture has the same colour scale, so that runs are comparable. Accuracies are raised to
# this power, because accuracies from 80 to 100 %, where good runs differ, then differ more in
# colour.
ACCURACY_POWER = 3.0
# Colours of a difference, from worse through equal to better. Readers with any kind of colour
# blindness can distinguish the colours, and each cell also shows the sign of the difference.
DIFFERENCE_COLOURS = ("#7a2f00", "#d9853b", "#f2f2f0", "#4f94c4", "#06304f")
_NUM_SHADES = 256  # number of shades in a colour map of Matplotlib
_FULL_DIFFERENCE = 0.3
# Differences between accuracies are raised to this power before they get a colour, because small
# differences matter most and need distinct colours.
_SPREAD = 0.6
# On a background of this luminance, black and white text are equally readable (WCAG 2).
_EQUAL_CONTRAST_LUMINANCE = math.sqrt(1.05 * 0.05) - 0.05

_TEXTS: dict[str, Rgb] = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}


@dataclass(frozen=True, slots=True)
class CellColours:
    """Colours of a cell and of its text, as #rrggbb."""

    background: str
    text: str


def accuracy_colours(accuracy: float) -> CellColours:
    """Return the colours of the table cell that shows an accuracy (a fraction)."""
    return _colours(cell_colour(accuracy))


def difference_colours(difference: float) -> CellColours:
    """Return the colours of the table cell that shows the difference of two accuracies
    (fractions).
    """
    strength = min(1.0, abs(difference) / _FULL_DIFFERENCE) ** _SPREAD
    return _colours(_blended(DIFFERENCE_COLOURS, 0.5 + math.copysign(strength / 2, difference)))


def cell_colour(accuracy: float) -> Rgb:
    """Return the colour of the cell that shows an accuracy (a fraction): its red, green and blue
    parts in [0, 1].
    """
    return _blended(ACCURACY_COLOURS, accuracy**ACCURACY_POWER)


def text_colour(accuracy: float) -> str:
    """Return the text colour for the cell that shows an accuracy: black or white, whichever has
    more contrast with the cell's colour.
    """
    return readable_on(cell_colour(accuracy))


def readable_on(background: Rgb) -> str:
    """Return black or white, whichever text colour has more contrast with a background.

    The contrast is at least 4.5 (WCAG AA) on every background.
    """
    return "white" if luminance(background) < _EQUAL_CONTRAST_LUMINANCE else "black"


def luminance(colour: Rgb) -> float:
    """Return the relative luminance by WCAG 2: 0 for black, 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return math.fsum(map(operator.mul, (0.2126, 0.7152, 0.0722), linear))


def _colours(background: Rgb) -> CellColours:
    return CellColours(_as_hex(background), _as_hex(_TEXTS[readable_on(background)]))


def _blended(colours: Sequence[str], share: float) -> Rgb:
    """Return a colour from a colour scale, interpolated as in a colour map of Matplotlib.

    This function replaces Matplotlib for tables, because Matplotlib is slow to import.

    Args:
        colours: Evenly spaced colours of the scale, as #rrggbb.
        share: Position on the scale in [0, 1]. A value below 0 gives the first colour, a value
            above 1 the last colour, and NaN gives black.
    """
    if math.isnan(share):
        return _TEXTS["black"]
    shade = min(_NUM_SHADES - 1, max(0, int(share * _NUM_SHADES))) / (_NUM_SHADES - 1)
    place = shade * (len(colours) - 1)
    before = min(int(place), len(colours) - 2)
    ends = zip(_rgb(colours[before]), _rgb(colours[before + 1]), strict=True)
    red, green, blue = (low + (high - low) * (place - before) for low, high in ends)
    return red, green, blue


def _rgb(colour: str) -> Rgb:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _as_hex(colour: Rgb) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)
