"""Search for a front: each of Optuna's samplers learns from several objectives, also after a
resume.
"""

import warnings
from statistics import fmean
from typing import Any

import pytest

from orchestrator.config import Experiment, SearchSpace
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.optuna_samplers import GENERATION
from orchestrator.tuning.sampler import Sampler
from orchestrator.tuning.space import Space

ACCURACY, SECONDS = "student/last_accuracy", "worker_seconds"
METRICS = {ACCURACY: "max", SECONDS: "min"}
RATE, FLOOR = "student.temperature", "student.consolidation"
PARAMETERS: dict[str, Any] = {
    RATE: {"kind": "uniform", "low": 0.1, "high": 1},
    FLOOR: {"kind": "uniform", "low": 0.1, "high": 1},
    "teacher.num_views": {"kind": "int_uniform", "low": 1, "high": 4},
}
STARTUP = 6


def space_of(sampler: str, seed: int = 0) -> Space:
    searcher = {
        "kind": "optuna",
        "sampler": sampler,
        "seed": seed,
        "num_startup_trials": STARTUP,
    }
    values = {
        "parameters": PARAMETERS,
        "num_trials": 1,
        "searcher": searcher,
        "metrics": METRICS,
    }
    return Space(SearchSpace.model_validate(values), Experiment())


def objectives(configuration: Configuration) -> list[float]:
    """Return two objectives that are best at a floor of 0.1; the rate trades one for the other."""
    found = configuration.parameters
    return [found[RATE] - 3 * (found[FLOOR] - 0.1), found[RATE] + 3 * (found[FLOOR] - 0.1)]


def searched(space: Space, num: int) -> list[Configuration]:
    sampler, asked = Sampler(space), []
    for _ in range(num):
        configuration = sampler.ask()
        assert configuration is not None
        sampler.tell(configuration, objectives(configuration))
        asked.append(configuration)
    return asked


@pytest.mark.parametrize(("sampler", "num_more"), [("tpe", 24), ("nsga2", 24), ("gp", 3)])
def test_a_sampler_approaches_the_front_over_time_and_prints_nothing(
    sampler: str, num_more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    early, late = [], []
    for seed in range(1 if sampler == "gp" else 3):  # a Gaussian process takes a second per trial
        found = searched(space_of(sampler, seed), STARTUP + num_more)
        floors = [it.parameters[FLOOR] for it in found]
        early += floors[:STARTUP]
        late += floors[-min(num_more, STARTUP) :]
    assert fmean(late) < 0.75 * fmean(early)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_equal_seeds_and_results_give_equal_configurations(sampler: str) -> None:
    num = STARTUP + 2
    assert searched(space_of(sampler), num) == searched(space_of(sampler), num)


def test_a_resumed_genetic_search_continues_with_the_generation_implied_by_the_ledger() -> None:
    space = space_of("nsga2")
    told = [(it, objectives(it)) for it in searched(space, 2 * STARTUP)]
    resumed = Sampler(space, told)
    assert resumed.ask() is not None
    generations = [it.system_attrs[GENERATION] for it in resumed._study.get_trials()]
    assert generations[: 2 * STARTUP] == [0] * STARTUP + [1] * STARTUP
    assert {*generations[2 * STARTUP :]} == {2}


def test_failed_trials_and_trials_without_all_numbers_are_ignored() -> None:
    space = space_of("tpe")
    told = [(it, objectives(it)) for it in searched(space, 5)]
    broken = [(told[0][0], None), (told[1][0], [0.5, float("nan")]), (told[2][0], [0.5])]
    assert len(Sampler(space, broken)._study.get_trials()) == 0
    assert len(Sampler(space, told)._study.get_trials()) == 5


def test_importances_are_those_for_the_first_objective() -> None:
    space = space_of("tpe")
    told: list[tuple[Configuration, list[float]]] = []
    for configuration in searched(space, 40):
        found = configuration.parameters
        told.append((configuration, [found[FLOOR], found[RATE]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importances = Sampler(space, told).importances()
    assert next(iter(importances)) == FLOOR
