"""Show the Pareto front of a sweep with several objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from orchestrator.config.objective import metric_text
from orchestrator.config.search_space import SearchSpace
from orchestrator.reporting.quantities import objective_text
from orchestrator.terminal.parameters import parameters_text
from orchestrator.tuning.ledger import LedgerTrial

_MOST_ROWS = 15


def front_table(front: Sequence[LedgerTrial], summary: Mapping[str, Any]) -> Table:
    """Return a table of the trials on a Pareto front: the value of each objective, and the
    parameters that differ between the trials.

    Args:
        front: The trials on the front, in order of their first objective, the best first.
        summary: The content of the sweep's summary.json.
    """
    left_out = f"; the table shows the first {_MOST_ROWS}" if len(front) > _MOST_ROWS else ""
    number = "1 trial" if len(front) == 1 else f"{len(front)} trials"
    table = Table(
        title=f"Front: {number} on {summary['split']} data{left_out}",
        title_justify="left",
    )
    for name in ("trial", *summary["metrics"], "parameters"):
        table.add_column(name, justify="left" if name == "parameters" else "right")
    best = summary["best"] and summary["best"]["trial"]
    every = [trial.configuration.parameters for trial in front]
    for trial in front[:_MOST_ROWS]:
        values = [objective_text(trial.values[name], name) for name in summary["metrics"]]
        parameters = parameters_text(trial.configuration.parameters, every)
        style = "bold" if trial.number == best else ""
        table.add_row(str(trial.number), *values, parameters, style=style)
    return table


def value_text(trial: LedgerTrial, search_space: SearchSpace) -> str:
    """Return the value of each objective of a finished trial as text with units, separated by
    commas.
    """
    if not trial.values:
        return objective_text(trial.value, metric_text(search_space.metric))
    return ", ".join(objective_text(value, name) for name, value in trial.values.items())


def no_choice_text(summary: Mapping[str, Any]) -> str:
    """Return why the sweep chose no trial of the Pareto front as the best, and what the user can
    do.
    """
    if summary["choose"] is None:
        return (
            "the search space has no `choose`; use one of the files in front/, or add `choose`"
            " and rerun with --resume"
        )
    return (
        "no trial of the front satisfies the bounds of `choose`; relax the bounds and rerun with"
        " --resume"
    )
