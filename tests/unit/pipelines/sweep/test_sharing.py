"""The driver of a sweep prepares shared data of its trials once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchestrator.stages.preparation
from orchestrator.config import Experiment, SearchSpace
from orchestrator.data import Scenario
from orchestrator.pipelines.sweep.listener import SilentSweepListener
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.pipelines.sweep.trials import SweepTrials
from orchestrator.tracking import InMemoryTracker
from orchestrator.tuning.ledger import Ledger
from orchestrator.tuning.space import Space

NUM_CLASSES = 6


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often data is really loaded, split into tasks and hashed."""
    counted: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def counting(*args: object) -> object:
            counted[name] += 1
            return real(*args)

        monkeypatch.setattr(owner, name, counting)

    count(orchestrator.stages.preparation, "load_images")
    count(orchestrator.stages.preparation, "build_scenario")
    count(Scenario, "_digest_of")
    return counted


def start_trials(
    experiment: Experiment, folder: Path, parameters: dict[str, list[Any]], seeds: list[int]
) -> int:
    """Start all trials of a grid as the driver does, and return their number."""
    choices = {path: {"kind": "choice", "values": values} for path, values in parameters.items()}
    search_space = SearchSpace.model_validate(
        {"name": "test", "searcher": {"kind": "grid"}, "seeds": seeds, "parameters": choices}
    )
    setting = SweepSetting(search_space, experiment, Space(search_space, experiment), folder)
    source = SweepTrials(
        setting, Ledger(folder / "ledger.jsonl"), InMemoryTracker(), SilentSweepListener()
    )
    plans = list(iter(source.next_trial, None))
    for plan in plans:
        source.trial_started(plan.number)
    return len(plans)


def test_trials_that_vary_the_student_prepare_each_seed_once(
    tiny_experiment: Experiment, tmp_path: Path, calls: Counter[str]
) -> None:
    num_trials = start_trials(
        tiny_experiment, tmp_path, {"student.temperature": [1, 2, 4, 8]}, seeds=[0, 1]
    )
    assert num_trials == 4
    assert calls == {
        "load_images": 1,
        "build_scenario": 2,
        "_digest_of": 2 * NUM_CLASSES,  # of the training images; this test evaluates nothing
    }


def test_trials_that_vary_the_scenario_prepare_each_scenario_once(
    tiny_experiment: Experiment, tmp_path: Path, calls: Counter[str]
) -> None:
    parameters = {"scenario.max_images_per_class": [10, 20], "student.temperature": [1, 2, 4]}
    assert start_trials(tiny_experiment, tmp_path, parameters, seeds=[0]) == 6
    assert (calls["load_images"], calls["build_scenario"]) == (1, 2)
