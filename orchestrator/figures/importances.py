"""Draw the importance of each parameter of a sweep, and the uncertainty of each importance."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from orchestrator.figures.layout import empty_figure, finish_axes, message_figure
from orchestrator.figures.palette import INK, MUTED, SERIES
from orchestrator.figures.texts import short_names
from orchestrator.figures.trials import Importance

_COLOUR = SERIES["series-1"].light


def importance_figure(importances: Mapping[str, Importance], caveat: str = "") -> Figure:
    """Draw one bar per parameter: its importance, with the 90 % interval of the importance. The bar
    of the most important parameter is on top.

    Args:
        importances: Importance of each parameter, by dotted path.
        caveat: Warning that the importances are rough, shown below the bars; empty for no warning.
    """
    if not importances:
        return message_figure("No importances: they need finished trials that differ")
    # Matplotlib draws the first bar at the bottom, so the most important parameter comes last.
    ordered = sorted(importances.items(), key=lambda item: item[1].share)
    names = short_names(list(importances))
    found = [importance for _, importance in ordered]
    figure = empty_figure(8.5, 1.1 + 0.38 * len(ordered) + (0.25 if caveat else 0.0))
    axes = figure.subplots()
    axes.barh(
        [names[path] for path, _ in ordered],
        [one.share for one in found],
        0.7,
        color=_COLOUR,
        xerr=([one.share - one.low for one in found], [one.high - one.share for one in found]),
        error_kw={"ecolor": MUTED, "elinewidth": 1.2, "capsize": 3},
    )
    for place, one in enumerate(found):
        axes.annotate(
            f"{100 * one.share:.0f} %",
            (one.high, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    finish_axes(axes, "What the objective depends on: share of each parameter, 90 % interval")
    if caveat:
        axes.set_xlabel(caveat, color=MUTED, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.margins(x=0.1, y=0.02)
    return figure
