"""Measure how much each parameter decides whether a trial is among the best trials.

The importance of a parameter is a share, computed by Optuna's conditional PED-ANOVA (Watanabe et
al., arXiv:2304.10255). Each share has a 90 % confidence interval from a bootstrap over the trials.
"""

from __future__ import annotations

import math
import random
import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from orchestrator.figures.trials import Importance

MIN_TRIALS = 4
_NUM_RESAMPLES = 40
# Largest number of trials in one resample of the bootstrap, because larger resamples take seconds.
# If a sweep has more trials, the confidence interval of each importance would be too wide. The
# interval is thus narrowed by the factor sqrt(trials in a resample / trials of the sweep).
_MOST_RESAMPLED = 200
_QUANTILES = (0.05, 0.95)


def importances_of(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> dict[str, Importance]:
    """Return the importance of each parameter by path, the most important first. All importances
    sum to 1.

    The result omits parameters with a single value in all trials, and is empty for fewer than four
    trials. The importance of a conditional parameter comes from the trials that have it.

    Args:
        trials: The complete trials.
        directions: Direction of each objective. With several objectives, the best trials are those
            of the Pareto front.
    """
    varied = _varied(trials)
    if len(trials) < MIN_TRIALS or not varied:
        return {}
    shares = _shares(trials, directions, varied)
    size = min(len(trials), _MOST_RESAMPLED)
    chance = random.Random(0)  # noqa: S311 - resampling, no secrets
    resampled = [
        _shares(chance.choices(trials, k=size), directions, varied) for _ in range(_NUM_RESAMPLES)
    ]
    narrowing = math.sqrt(size / len(trials))
    found = {}
    for path, share in shares.items():
        ends = np.quantile([one.get(path, 0.0) for one in resampled], _QUANTILES)
        low, high = (share + narrowing * (float(end) - share) for end in ends)
        found[path] = Importance(share, min(low, share), max(high, share))
    return dict(sorted(found.items(), key=lambda item: -item[1].share))


def _varied(trials: Sequence[FrozenTrial]) -> set[str]:
    """Return the paths of the parameters that have more than one value in the trials. A parameter
    may be several parameters of Optuna, such as one for each number in a list.
    """
    values: defaultdict[str, set[object]] = defaultdict(set)
    for trial in trials:
        for name, value in trial.params.items():
            values[name].add(value)
    return {_path(name) for name, seen in values.items() if len(seen) > 1}


def _shares(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], varied: set[str]
) -> dict[str, float]:
    study = optuna.create_study(directions=directions)
    study.add_trials(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna would warn about few trials
        found = optuna.importance.get_param_importances(study)
    by_path: defaultdict[str, float] = defaultdict(float)
    for name, importance in sorted(found.items()):
        if _path(name) in varied:
            by_path[_path(name)] += float(importance)
    total = sum(by_path.values())
    return {path: share / total for path, share in by_path.items()} if total > 0 else {}


def _path(name: str) -> str:
    return name.partition("/")[0]
