"""The order of a sweep's trials."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from orchestrator.config.objective import rank_key
from orchestrator.tuning.ledger import LedgerTrial


def ranked(trials: Iterable[LedgerTrial], mode: str) -> list[LedgerTrial]:
    """Return the trials that have finished, the best first; of equal ones the one that began first.

    Args:
        trials: In any order.
        mode: "max" or "min": which objective is best.
    """
    places = [
        (rank_key(trial.value, trial.number, mode), trial)
        for trial in trials
        if trial.value is not None
    ]
    return [trial for _, trial in sorted(places, key=itemgetter(0))]
