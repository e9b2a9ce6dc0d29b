"""The order of trials: cases worked by hand."""

import pytest

from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.ranking import ranked


def trial(number: int, value: float | None) -> LedgerTrial:
    return LedgerTrial(number, Configuration({}, {}), f"run {number}", value=value)


@pytest.mark.parametrize(("mode", "expected"), [("max", [2, 0, 4, 1]), ("min", [1, 0, 4, 2])])
def test_the_best_trial_comes_first_and_the_earlier_of_equal_ones(
    mode: str, expected: list[int]
) -> None:
    trials = [trial(4, 0.5), trial(1, -0.25), trial(3, None), trial(0, 0.5), trial(2, 0.75)]
    assert [found.number for found in ranked(trials, mode)] == expected


def test_without_a_finished_trial_there_is_no_best() -> None:
    assert ranked([trial(0, None)], "max") == []
