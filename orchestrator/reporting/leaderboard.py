"""Write the leaderboard of a sweep as CSV: all trials, best first. In a sweep with several
objectives, the trials on the Pareto front come first.
"""

from collections.abc import Sequence

from orchestrator.csv_text import csv_text
from orchestrator.figures.texts import as_text
from orchestrator.figures.trials import TrialRow, best_first, unfinished


def leaderboard_csv(trials: Sequence[TrialRow], mode: str) -> str:
    """Return all trials as CSV (RFC 4180), the best first, with one column per parameter.

    Unfinished trials come last and have no rank. A sweep with several objectives has one column per
    objective, and its trials on the Pareto front come first.

    Args:
        trials: The trials in any order.
        mode: Whether higher ("max") or lower ("min") objectives are better.
    """
    paths = list(dict.fromkeys(path for trial in trials for path in trial.parameters))
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    columns = ["front", *names] if names else ["value"]
    rows: list[Sequence[object]] = [["rank", "trial", *columns, "status", *paths]]
    ordered = sorted(best_first(trials, mode), key=lambda trial: not trial.in_front)
    for rank, trial in [
        *enumerate(ordered, 1),
        *(("", trial) for trial in unfinished(trials)),
    ]:
        cells = [
            as_text(trial.parameters[path]) if path in trial.parameters else "" for path in paths
        ]
        of_front = "yes" if trial.in_front else ""
        values = [of_front, *map(trial.values.get, names)] if names else [trial.value]
        rows.append([rank, trial.trial, *values, trial.status, *cells])
    return csv_text(rows, line_end="\r\n")
