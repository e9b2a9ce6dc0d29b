"""Write a figure to a file."""

import io
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.figures.fonts import choose_fonts, spell_out, without_glyph_warnings
from orchestrator.whole_files import write_whole


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix (PNG if it has none); create the folder.

    Characters that no font has are written as code points.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, drawn(figure, path.suffix[1:] or "png"))


def drawn(figure: Figure, file_format: str = "png") -> bytes:
    """Return a figure as the content of a file; characters that no font has become code points."""
    content = io.BytesIO()
    spell_out(with_literal_texts(figure))
    with without_glyph_warnings():
        figure.savefig(content, dpi=150, format=file_format)
    return content.getvalue()


def with_literal_texts(figure: Figure) -> Figure:
    """Make the texts of a figure literal, and return it: `$` does not start a formula, and
    characters get a font if one is installed.

    Users choose the names of classes, runs and parameters, so the names may hold anything.
    """
    texts = figure.findobj(Text)
    for text in texts:
        text.set_parse_math(False)
    choose_fonts(texts)
    return figure
