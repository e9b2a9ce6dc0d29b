"""Rank the trials of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from orchestrator.config.objective import rank_key
from orchestrator.tuning.ledger import LedgerTrial


def ranked(trials: Iterable[LedgerTrial], mode: str) -> list[LedgerTrial]:
    """Return the finished trials, the best first. Equally good trials are in the order of their
    starts.

    Args:
        trials: Trials in any order.
        mode: "max" if a larger objective is better, "min" if a smaller one is.
    """
    places = [
        (rank_key(trial.value, trial.number, mode), trial)
        for trial in trials
        if trial.value is not None
    ]
    return [trial for _, trial in sorted(places, key=itemgetter(0))]
