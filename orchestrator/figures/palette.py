"""Define the colours of figures and pages, each in a light and a dark version.

Figures are drawn with the light colours. An HTML page with a dark theme replaces the light colours
with the dark colours.
"""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """The light and the dark version of one colour, as #rrggbb."""

    light: str
    dark: str


PAGE = {
    "page": Colour("#f5f7f9", "#101317"),
    "panel": Colour("#ffffff", "#181c21"),
    "ink": Colour("#1f2933", "#e4e9ee"),
    "muted": Colour("#5b6773", "#9aa7b4"),
    "grid": Colour("#e3e7ec", "#2f363d"),
    "good": Colour("#00724f", "#3ecf9e"),
    "bad": Colour("#b34700", "#ff9a57"),
}
# Colours of lines and bars, based on the palette of Okabe and Ito, which readers with any kind of
# colour blindness can distinguish. Some light versions are darker than the palette, for contrast
# with white; the dark versions are lighter, for contrast with black.
SERIES = {
    "series-1": Colour("#0072b2", "#5cb8f0"),
    "series-2": Colour("#d55e00", "#ff9147"),
    "series-3": Colour("#00805e", "#35cfa3"),
    "series-4": Colour("#ad4f84", "#f09cc9"),
    "series-5": Colour("#8a5f00", "#e8b23a"),
    "series-6": Colour("#5a5fc0", "#a9adff"),
    "series-7": Colour("#20262c", "#ffffff"),
    "series-8": Colour("#7a8591", "#8f9ba8"),
}
COLOURS = PAGE | SERIES
VARIABLES = {colour.light: f"var(--{name})" for name, colour in COLOURS.items()}
INK, MUTED, GRID = PAGE["ink"].light, PAGE["muted"].light, PAGE["grid"].light
