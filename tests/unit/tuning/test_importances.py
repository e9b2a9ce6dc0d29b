import random
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.tuning.importances import importances_of

MAXIMIZE = [StudyDirection.MAXIMIZE]
DISTRIBUTIONS = {
    "decides": FloatDistribution(0, 1),
    "does.nothing": FloatDistribution(0, 1),
    "stayed": CategoricalDistribution(["a", "b"]),
    "table/0": FloatDistribution(0, 1),
    "table/1": FloatDistribution(0, 1),
    "sometimes": FloatDistribution(0, 1),
}


def finished(number_of_trials: int) -> list[FrozenTrial]:
    """Return trials in which one parameter decides, and one is present in every fifth trial."""
    chance, trials = random.Random(1), []  # noqa: S311 - draws, no secrets
    for number in range(number_of_trials):
        params: dict[str, Any] = {
            name: chance.random() for name in ("decides", "does.nothing", "table/0")
        }
        params |= {"stayed": "a", "table/1": 0.5} | ({} if number % 5 else {"sometimes": 0.1})
        if not number:
            params["sometimes"] = 0.9
        trials.append(
            create_trial(
                state=TrialState.COMPLETE,
                value=params["decides"],
                params=params,
                distributions={name: DISTRIBUTIONS[name] for name in params},
            )
        )
    return trials


def test_constant_parameters_are_not_listed_and_the_rest_sums_to_1() -> None:
    found = importances_of(finished(40), MAXIMIZE)
    assert set(found) == {"decides", "does.nothing", "table", "sometimes"}
    assert sum(one.share for one in found.values()) == pytest.approx(1)
    assert importances_of(finished(40)[:3], MAXIMIZE) == {}


@pytest.mark.parametrize("num_trials", [4, 12])
def test_an_interval_contains_its_share_and_stays_within_0_and_1(num_trials: int) -> None:
    for one in importances_of(finished(num_trials), MAXIMIZE).values():
        assert 0 <= one.low <= one.share <= one.high <= 1


def test_more_trials_give_narrower_intervals() -> None:
    few, many = (importances_of(finished(number), MAXIMIZE) for number in (12, 120))
    ranges = [found["decides"].high - found["decides"].low for found in (few, many)]
    assert ranges[1] < ranges[0] / 2
    # the decisive parameter is separated from the irrelevant one
    assert many["decides"].low > many["does.nothing"].high
