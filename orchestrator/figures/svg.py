"""Convert a figure to SVG for an HTML page. Its texts remain text, and its colours follow the
page's theme.
"""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from orchestrator.figures.fonts import without_glyph_warnings
from orchestrator.figures.palette import VARIABLES
from orchestrator.figures.saving import with_literal_texts

# Parts to remove from Matplotlib's SVG: the metadata, a style sheet that would apply to the whole
# page, and ids of groups, which every figure on the page would repeat.
_NOT_FOR_A_PAGE = re.compile(
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|(?<=<g) id=\"[^\"]*\"",
    re.DOTALL,
)
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")
_PATH = re.compile(r"(?<= d=\")[^\"]*")
# Coordinates are in points (1/72 inch). Only their first decimal is kept, because further decimals
# make no visible difference.
_LONG_FRACTION = re.compile(r"(\.\d)\d+")
_SPACE = re.compile(r"\s*\n\s*")
_LEAST_SCALE = 0.67
_HEX = re.compile(r"#[0-9a-f]{6}\b")


def inline_svg(figure: Figure, title: str, *, is_finished: bool = False) -> Markup:
    """Return a figure as SVG to embed in an HTML page.

    Args:
        figure: The figure. Colours from the light version of `palette` are replaced with the
            colours of the page's theme; other colours are kept.
        title: Text alternative of the figure, unique on its page.
        is_finished: Whether the colours of the figure are final. If so, all colours are kept, and
            the page may shrink the figure by at most a third. For a dark theme, the page inverts
            the figure as a whole (CSS class `turned`).
    """
    text = io.StringIO()
    # Matplotlib derives the ids of clip paths and markers from the setting `svg.hashsalt`. The
    # unique title in this setting makes the ids differ from the ids in other figures of the page.
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}),
        without_glyph_warnings(),
    ):
        with_literal_texts(figure).savefig(text, format="svg", transparent=True)
    drawing = text.getvalue()
    drawing = _NOT_FOR_A_PAGE.sub("", drawing[drawing.index("<svg") :])
    drawing = _FONT.sub("system-ui, sans-serif", drawing)
    drawing = _PATH.sub(lambda found: _shortened(found[0]), drawing)
    attributes = f'role="img" aria-label="{escape(title)}"'
    if is_finished:
        attributes += f' style="min-width:{_LEAST_SCALE * 72 * figure.get_figwidth():.0f}pt"'
    else:
        drawing = _HEX.sub(lambda found: VARIABLES.get(found[0], found[0]), drawing)
    return Markup(drawing.replace("<svg ", f"<svg {attributes} ", 1))  # noqa: S704 - Matplotlib escapes its texts


def _shortened(path: str) -> str:
    return _SPACE.sub("", _LONG_FRACTION.sub(r"\1", path))
