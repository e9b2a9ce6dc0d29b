"""Convert a figure to SVG for an HTML page, with real text and in the page's colours."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from orchestrator.figures.fonts import without_glyph_warnings
from orchestrator.figures.palette import VARIABLES
from orchestrator.figures.saving import with_literal_texts

# Parts of Matplotlib's SVG to remove: metadata, a style that would apply to the whole page, and
# group names that clash with those of other figures.
_NOT_FOR_A_PAGE = re.compile(
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|(?<=<g) id=\"[^\"]*\"",
    re.DOTALL,
)
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")
_PATH = re.compile(r"(?<= d=\")[^\"]*")
_LONG_FRACTION = re.compile(r"(\.\d)\d+")  # less than a tenth of a point is invisible
_SPACE = re.compile(r"\s*\n\s*")
_LEAST_SCALE = 0.67
_HEX = re.compile(r"#[0-9a-f]{6}\b")


def inline_svg(figure: Figure, title: str, *, is_finished: bool = False) -> Markup:
    """Return the figure as SVG for embedding in a page.

    Args:
        figure: Drawn with the light colours of `palette`, which the page replaces with its own;
            other colours are kept.
        title: Text alternative of the figure, unique on its page.
        is_finished: Whether the figure keeps its colours (the page inverts it as a whole, see
            `.turned`) and shrinks by at most a third.
    """
    text = io.StringIO()
    # The salt makes names of clip paths and markers differ from those of other figures on the page.
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
