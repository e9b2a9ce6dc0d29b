"""Find the Pareto front of a sweep's trials, and choose one trial of the front by a rule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.config.objective import BEST, parse_bound, rank_key
from orchestrator.config.objectives import are_in_front
from orchestrator.config.search_space import SearchSpace
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.ranking import ranked


def front_of(trials: Iterable[LedgerTrial], search_space: SearchSpace) -> list[LedgerTrial]:
    """Return the finished trials that no other trial dominates, ordered by the first objective,
    best first. With one objective, return only the best trial.

    Args:
        trials: Trials in any order.
        search_space: Search space with the objectives.
    """
    if search_space.metrics is None:
        return ranked(trials, search_space.mode)[:1]
    names = search_space.metrics
    compared = [trial for trial in ranked(trials, search_space.mode) if _has_values(trial, names)]
    in_front = are_in_front([trial.values for trial in compared], names)
    return [trial for trial, is_member in zip(compared, in_front, strict=True) if is_member]


def chosen(front: Sequence[LedgerTrial], search_space: SearchSpace) -> LedgerTrial | None:
    """Return the trial of a front that the rule `choose` of the search space selects; None without
    a rule, or if no trial is within the rule's bounds. With one objective, return the best trial.

    Args:
        front: Front from `front_of`.
        search_space: Search space with the objectives and the rule.
    """
    if search_space.metrics is None:
        return next(iter(front), None)
    if search_space.choose is None:
        return None
    rule = dict(search_space.choose)
    decisive = rule.pop(BEST)
    bounds = {name: parse_bound(text) for name, text in rule.items()}
    kept = [
        trial
        for trial in front
        if all(bound.holds(trial.values[name]) for name, bound in bounds.items())
    ]
    mode = search_space.metrics[decisive]
    return min(
        kept,
        key=lambda trial: rank_key(trial.values[decisive], trial.number, mode),
        default=None,
    )


def _has_values(trial: LedgerTrial, names: Mapping[str, str]) -> bool:
    return all(math.isfinite(trial.values.get(name, math.nan)) for name in names)
