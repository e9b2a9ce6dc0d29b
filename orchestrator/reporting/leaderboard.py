"""Write the trials of a sweep as a table, the best first."""

from collections.abc import Sequence

from orchestrator.csv_text import csv_text
from orchestrator.figures.texts import as_text
from orchestrator.figures.trials import TrialRow, best_first, unfinished


def leaderboard_csv(trials: Sequence[TrialRow], mode: str) -> str:
    """Return all trials as CSV (RFC 4180), the best first, with one column per parameter.

    The unfinished ones follow without a rank.

    Args:
        trials: In any order.
        mode: "max" or "min": which objective is better.
    """
    paths = list(dict.fromkeys(path for trial in trials for path in trial.parameters))
    rows: list[Sequence[object]] = [["rank", "trial", "value", "status", *paths]]
    for rank, trial in [
        *enumerate(best_first(trials, mode), 1),
        *(("", trial) for trial in unfinished(trials)),
    ]:
        cells = [
            as_text(trial.parameters[path]) if path in trial.parameters else "" for path in paths
        ]
        rows.append([rank, trial.trial, trial.value, trial.status, *cells])
    return csv_text(rows, line_end="\r\n")
