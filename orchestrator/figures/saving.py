"""Write a figure to a picture file."""

import io
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.figures.fonts import choose_fonts, spell_out, without_glyph_warnings
from orchestrator.whole_files import write_whole


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a picture file, and create the folder if it is missing.

    The suffix of the path determines the format; a path without a suffix gives PNG. Characters that
    no font has are written as code points.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, drawn(figure, path.suffix[1:] or "png"))


def drawn(figure: Figure, file_format: str = "png") -> bytes:
    """Return the content of a picture file that shows a figure. Characters that no font has become
    code points.
    """
    content = io.BytesIO()
    spell_out(with_literal_texts(figure))
    with without_glyph_warnings():
        figure.savefig(content, dpi=150, format=file_format)
    return content.getvalue()


def with_literal_texts(figure: Figure) -> Figure:
    """Make a figure show its texts literally, and return the figure: `$` starts no formula, and
    characters that the default font lacks get another installed font.

    Users choose the names of classes, runs and parameters, so the texts may hold any character.
    """
    texts = figure.findobj(Text)
    for text in texts:
        text.set_parse_math(False)
    choose_fonts(texts)
    return figure
