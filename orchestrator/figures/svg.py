"""Turn a figure into part of a page: vector graphics with real text, in the page's colours."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from orchestrator.figures.fonts import without_glyph_warnings
from orchestrator.figures.palette import VARIABLES
from orchestrator.figures.saving import with_literal_texts

# What Matplotlib says of itself, a style that would hold for the whole page, names of groups that
# other figures have as well.
_NOT_FOR_A_PAGE = re.compile(
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|(?<=<g) id=\"[^\"]*\"",
    re.DOTALL,
)
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")
_PATH = re.compile(r"(?<= d=\")[^\"]*")
_LONG_FRACTION = re.compile(r"(\.\d)\d+")  # of points: a tenth of one is not seen
_SPACE = re.compile(r"\s*\n\s*")
_LEAST_SCALE = 0.67
_HEX = re.compile(r"#[0-9a-f]{6}\b")


def inline_svg(figure: Figure, title: str, *, is_finished: bool = False) -> Markup:
    """Return the figure as SVG to put into a page.

    Args:
        figure: Drawn with the light colours of `palette`, which become those of the page; other
            colours stay.
        title: What it shows, for those who do not see it; on one page every figure has another.
        is_finished: Whether it keeps its colours (the page turns it as a whole, see `.turned`), and
            its size but for a third.
    """
    text = io.StringIO()
    # The salt keeps names of clip paths and markers apart from those of the page's other figures.
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
