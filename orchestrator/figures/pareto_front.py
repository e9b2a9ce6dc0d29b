"""Draw the Pareto front of a sweep with several objectives."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from orchestrator.config.objective import scale_of
from orchestrator.figures.layout import empty_figure, finish_axes, message_figure
from orchestrator.figures.palette import GRID, INK, MUTED, SERIES
from orchestrator.figures.trials import TrialRow, count_text, is_finished

_FRONT, _CHOSEN = SERIES["series-1"].light, SERIES["series-2"].light
_MOST_PANELS = 3
_MOST_LABELS = 15


def pareto_front_figure(
    trials: Sequence[TrialRow], objectives: Mapping[str, str], chosen: int | None = None
) -> Figure:
    """Plot the first objective of every finished trial against each further objective, in one panel
    per further objective (at most three).

    Trials on the Pareto front are coloured and numbered, and a star marks the chosen trial. If
    there are two objectives, a line connects the trials on the front.

    Args:
        trials: Trials in any order.
        objectives: For each metric, whether higher ("max") or lower ("min") values are better.
        chosen: Number of the trial that the sweep chose from the front; None if it chose no trial.
    """
    finished = [trial for trial in filter(is_finished, trials) if trial.values]
    if not finished:
        return message_figure(count_text(trials))
    first, *others = objectives
    others = others[:_MOST_PANELS]
    figure = empty_figure(2.0 + 6.0 * len(others), 5.6)
    panels = figure.subplots(1, len(others), squeeze=False, sharey=True)[0]
    for axes, other in zip(panels, others, strict=True):
        _draw(axes, finished, (other, first), chosen)
        axes.set_xlabel(_label(other, objectives), color=MUTED)
    panels[0].set_ylabel(_label(first, objectives), color=MUTED)
    num = sum(trial.in_front for trial in finished)
    finish_axes(panels[0], f"Front: {num} of {len(finished)} finished trials")
    return figure


def _draw(
    axes: Axes, trials: Sequence[TrialRow], names: tuple[str, str], chosen: int | None
) -> None:
    factors = [scale_of(name)[1] for name in names]

    def places(some: Sequence[TrialRow]) -> tuple[list[float], list[float]]:
        across, up = (
            [factor * trial.values[name] for trial in some]
            for name, factor in zip(names, factors, strict=True)
        )
        return across, up

    front = sorted(
        (trial for trial in trials if trial.in_front), key=lambda it: it.values[names[0]]
    )
    rest = [trial for trial in trials if not trial.in_front]
    best = [trial for trial in front if trial.trial == chosen]
    axes.scatter(*places(rest), 26, color=MUTED, alpha=0.6, linewidths=0, zorder=2)
    if len(trials[0].values) == len(names):
        axes.plot(*places(front), color=_FRONT, linewidth=1.2, zorder=1)
    axes.scatter(*places(front), 42, color=_FRONT, zorder=3)
    axes.scatter(*places(best), 130, color=_CHOSEN, marker="*", zorder=4)
    for trial, x, y in list(zip(front, *places(front), strict=True))[:_MOST_LABELS]:
        axes.annotate(
            str(trial.trial), (x, y), (5, 5), textcoords="offset points", fontsize=9, color=INK
        )
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    axes.margins(0.08)


def _label(name: str, objectives: Mapping[str, str]) -> str:
    return f"{scale_of(name)[0]} ({'more' if objectives[name] == 'max' else 'less'} is better)"
