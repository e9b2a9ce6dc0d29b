"""Text output shows accuracies in percent, with one decimal."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import Experiment, SearchSpace
from orchestrator.terminal.console import new_console
from orchestrator.terminal.json_listeners import JsonRunListener, JsonSweepListener
from orchestrator.terminal.sweep import TerminalSweepListener
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.trial_status import TrialStatus

PATH = "student.temperature"
TRIAL = LedgerTrial(
    3, Configuration({PATH: 0.1}, {PATH: 4.0}), "run", TrialStatus.FINISHED, 0.87993, [0.9, 0.87993]
)
SPACE = SearchSpace.model_validate(
    {
        "name": "space",
        "parameters": {PATH: {"kind": "uniform", "low": 1, "high": 8}},
        "num_trials": 2,
    }
)
SUMMARY = {
    "sweep_id": "sweep",
    "metric": "student/last_accuracy",
    "mode": "max",
    "split": "validation",
    "best": {"trial": 3, "value": 0.87993, "parameters": {PATH: 4.0}},
    "trials": [{"status": "finished", "stages_cached": 0, "stages_computed": 6}],
    "wall_seconds": 1.0,
    "worker_seconds": 1.0,
}


def test_a_sweep_shows_its_objective_in_percent(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    uri = "http://mlflow.example"
    for listener in (TerminalSweepListener(new_console(), uri), JsonSweepListener(uri)):
        listener.sweep_started(SPACE, 2, 3, [], "sweep")
        listener.trial_changed(TRIAL)
        listener.sweep_finished(SUMMARY, Path("out"), "")
        said = capsys.readouterr().out + caplog.text
        assert said.count("88.0 %") == 2, said
        assert "0.88" not in said
        caplog.clear()


def test_several_objectives_show_their_units_the_front_and_the_choice(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = {"student/last_accuracy": "max", "student/num_parameters": "min"}
    space = SearchSpace.model_validate(
        {**SPACE.model_dump(exclude={"metric", "mode"}), "metrics": metrics}
    )
    values = {"student/last_accuracy": 0.87993, "student/num_parameters": 15418.0}
    trial = replace(TRIAL, values=values)
    several = {"metrics": metrics, "choose": None, "front": [3], "best": None}
    uri = "http://mlflow.example"
    for listener in (TerminalSweepListener(new_console(), uri), JsonSweepListener(uri)):
        listener.sweep_started(space, 2, 3, [], "sweep")
        listener.trial_changed(trial)
        listener.sweep_finished({**SUMMARY, **several}, Path("out"), "")
    said, logged = capsys.readouterr().out, caplog.text
    assert "max student/last_accuracy, min student/num_parameters on validation" in said
    assert "88.0 %, 15,418" in said
    assert "Front: 1 trial on validation data" in said
    assert "best     none: the search space has no `choose`" in said
    assert "objective 88.0 %, 15,418" in logged
    assert "front: trials 3" in logged


def test_a_run_in_a_pod_ends_with_percentages(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    measures = {
        "last_accuracy": 0.87993,
        "average_incremental_accuracy": 0.9,
        "forgetting": -0.006849,
    }
    summary = {"run_id": "run", "teacher": measures, "student": measures}
    JsonRunListener().run_finished(summary, Path("out"), Experiment(), "")
    expected = "last_accuracy 88.0 %, average_incremental_accuracy 90.0 %, forgetting −0.7 %"
    assert f"student: {expected}" in caplog.text
