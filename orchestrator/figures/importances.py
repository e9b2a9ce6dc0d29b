"""Draw how much each parameter of a sweep matters."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from orchestrator.figures.layout import empty_figure, finish_axes, message_figure
from orchestrator.figures.palette import INK, SERIES
from orchestrator.figures.texts import short_names

_COLOUR = SERIES["series-1"].light


def importance_figure(importances: Mapping[str, float]) -> Figure:
    """Draw a bar for each parameter, the one that matters most on top.

    Args:
        importances: Dotted path → share of the objective's variation (fraction).
    """
    if not importances:
        return message_figure("No importances: they need finished trials that differ")
    # Bars are counted from below.
    ordered = sorted(importances.items(), key=lambda item: item[1])
    names = short_names(list(importances))
    figure = empty_figure(8.5, 1.1 + 0.38 * len(ordered))
    axes = figure.subplots()
    bars = axes.barh(
        [names[path] for path, _ in ordered],
        [share for _, share in ordered],
        0.7,
        color=_COLOUR,
    )
    axes.bar_label(bars, [f"{100 * share:.1f} %" for _, share in ordered], padding=4, color=INK)
    finish_axes(axes, "What the objective depends on: share of each parameter")
    axes.set_xticks([])
    axes.margins(x=0.1, y=0.02)
    return figure
