"""Lay out the figures of a sweep: margins, titles, and a message in place of an empty plot."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import Formatter, FuncFormatter

from orchestrator.figures.palette import INK, MUTED


def empty_figure(width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure whose margins adapt to its texts when the figure is drawn."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    return Figure(figsize=(width_inches, height_inches), layout=layout, facecolor="white")


def share_formatter() -> Formatter:
    """Return a tick formatter that shows fractions in percent, with as few decimals as needed."""
    return FuncFormatter(lambda share, _: f"{100 * share:.6g} %".replace("-", "−"))


def message_figure(text: str) -> Figure:
    """Return a figure with a text that explains why there is nothing to draw."""
    figure = empty_figure(8.5, 2.0)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, color=MUTED)
    return figure


def finish_axes(axes: Axes, title: str) -> None:
    """Set the title of a plot, and remove its frame."""
    axes.set_title(title, fontsize=12, color=INK, loc="left", pad=10)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
