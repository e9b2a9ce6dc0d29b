"""The front of several objectives: the non-dominated trials, and the trial that a rule chooses."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

from orchestrator.config import SearchSpace
from orchestrator.config.objectives import are_in_front
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.front import chosen, front_of
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.trial_status import TrialStatus

ACCURACY, SIZE = "student/last_accuracy", "student/num_parameters"
# two equal points in the front, one dominated point, one that is worse in one objective only
POINTS = [(0.9, 300), (0.8, 100), (0.8, 100), (0.7, 200), (0.9, 400), (0.95, 900)]


def space_of(**fields: object) -> SearchSpace:
    values: dict[str, Any] = {
        "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}},
        "num_trials": 1,
        "metrics": {ACCURACY: "max", SIZE: "min"},
        **fields,
    }
    return SearchSpace.model_validate(values)


def trials_of(points: Sequence[tuple[float, float]]) -> list[LedgerTrial]:
    return [
        LedgerTrial(
            number,
            Configuration({}, {}),
            f"run {number}",
            TrialStatus.FINISHED,
            value=accuracy,
            values={ACCURACY: accuracy, SIZE: size},
        )
        for number, (accuracy, size) in enumerate(points)
    ]


def numbers(trials: list[LedgerTrial]) -> list[int]:
    return [trial.number for trial in trials]


def test_the_front_is_the_non_dominated_trials_ordered_by_the_first_objective() -> None:
    assert numbers(front_of(trials_of(POINTS), space_of())) == [5, 0, 1, 2]


def test_the_front_equals_the_result_of_comparing_all_pairs() -> None:
    values = [
        {"a": a, "b": b, "c": c}
        for a, b, c in product(range(4), (3, 1, 2), (0, 2))
        if a + b + c > 3
    ]
    modes = {"a": "max", "b": "min", "c": "min"}

    def beats(one: dict[str, int], other: dict[str, int]) -> bool:
        pairs = [(one["a"], other["a"]), (-one["b"], -other["b"]), (-one["c"], -other["c"])]
        return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)

    expected = [not any(beats(other, one) for other in values) for one in values]
    assert are_in_front(values, modes) == expected
    assert 0 < sum(expected) < len(expected)


def test_unfinished_trials_and_trials_without_a_number_are_in_no_front() -> None:
    running = LedgerTrial(7, Configuration({}, {}), "run", value=None)
    nan = LedgerTrial(
        8, Configuration({}, {}), "run", value=1.0, values={ACCURACY: 1.0, SIZE: float("nan")}
    )
    assert numbers(front_of([running, nan, *trials_of(POINTS[:1])], space_of())) == [0]


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        ({"best": ACCURACY}, 5),
        ({"best": SIZE}, 1),
        ({SIZE: "<= 300", "best": ACCURACY}, 0),
        ({SIZE: "< 300", ACCURACY: ">= 0.8", "best": ACCURACY}, 1),
        ({SIZE: "<= 50", "best": ACCURACY}, None),
        (None, None),
    ],
)
def test_a_rule_chooses_the_best_of_the_front_within_its_bounds(
    choose: dict[str, str] | None, expected: int | None
) -> None:
    space = space_of(choose=choose)
    found = chosen(front_of(trials_of(POINTS), space), space)
    assert (found and found.number) == expected


def test_with_one_objective_the_front_is_the_best_trial() -> None:
    space = space_of(metrics=None, metric=SIZE, mode="min")
    trials = trials_of([(0.9, 300), (0.8, 100)])
    trials = [LedgerTrial(it.number, it.configuration, "", value=it.values[SIZE]) for it in trials]
    front = front_of(trials, space)
    assert numbers(front) == [1]
    assert chosen(front, space) is front[0]
