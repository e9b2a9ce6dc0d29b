"""Write a figure to a file."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG (or what the suffix says), and make the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with_literal_texts(figure).savefig(path, dpi=150)


def with_literal_texts(figure: Figure) -> Figure:
    """Return the same figure with its texts as they are: no `$` begins a formula.

    Users choose the names of classes, runs and parameters.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
