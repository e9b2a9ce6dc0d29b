"""The first lines show ids and direct links, and announce the start of Ray."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import Experiment, SearchSpace
from orchestrator.config.overrides import with_values
from orchestrator.pipelines.run.execution import compute
from orchestrator.stages import prepare_work
from orchestrator.terminal.console import new_console
from orchestrator.terminal.json_listeners import JsonRunListener, JsonSweepListener
from orchestrator.terminal.retraining import TickListener
from orchestrator.terminal.run import TerminalRunListener
from orchestrator.terminal.sweep import TerminalSweepListener
from orchestrator.terminal.ui import link_lines
from orchestrator.tracking.mlflow.saved_views import envelope, tag_of
from orchestrator.tracking.views.comparisons import (
    candidates_view,
    run_views,
    sweep_view,
    trial_views,
)

RUN_ID = "3f2a9c1e" * 4
STARTED_BY_UI = f"run      {RUN_ID}  http://127.0.0.1:5000/#/runs/{RUN_ID}"
SERVER = "http://me:secret@mlflow.example:8080"
ON_SERVER = f"run      {RUN_ID}  http://mlflow.example:8080/#/runs/{RUN_ID}"
SPACE = SearchSpace.model_validate(
    {
        "name": "space",
        "parameters": {"student.temperature": {"kind": "uniform", "low": 1, "high": 8}},
        "num_trials": 2,
    }
)

Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Said:
    """Return a function that reads all text printed or logged since its last call."""
    caplog.set_level(logging.INFO)

    def take() -> str:
        text = capsys.readouterr().out + caplog.text
        caplog.clear()
        return text

    return take


def test_a_run_names_its_id_and_page_when_it_starts(
    tiny_experiment: Experiment, said: Said
) -> None:
    work = prepare_work(tiny_experiment)
    on_server = with_values(tiny_experiment, {"tracking.uri": SERVER})
    for listener in (TerminalRunListener(new_console()), JsonRunListener()):
        listener.run_started(tiny_experiment, work.scenario, work.stages, RUN_ID)
        assert STARTED_BY_UI in said()
        listener.run_started(on_server, work.scenario, work.stages, RUN_ID)
        assert ON_SERVER in said()
    TickListener(new_console()).run_started(on_server, work.scenario, work.stages, RUN_ID)
    assert RUN_ID not in said(), "in a dry run there is no such run"


def test_a_sweep_names_its_id_and_page_when_it_starts(said: Said) -> None:
    for listener in (TerminalSweepListener(new_console(), SERVER), JsonSweepListener(SERVER)):
        listener.sweep_started(SPACE, 2, 3, [], RUN_ID)
        assert ON_SERVER in said()


def test_the_start_of_ray_is_announced(said: Said) -> None:
    for listener in (
        TerminalRunListener(new_console()),
        JsonRunListener(),
        TerminalSweepListener(new_console(), SERVER),
        JsonSweepListener(SERVER),
    ):
        listener.ray_starts(None)
        assert "Ray      starts on this machine; this may take a minute" in said()
        listener.ray_starts("ray.example:6379")
        assert "Ray      joins the cluster ray.example:6379" in said()


def test_ray_is_announced_before_it_starts_and_not_if_no_stage_is_left(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str | None] = []
    here = with_values(
        tiny_experiment, {"store.uri": str(tmp_path / "store"), "method.kind": "nearest_class_mean"}
    )
    on_ray = here.model_copy(update={"execution": Experiment().execution})
    monkeypatch.setattr(
        "orchestrator.distributed.lanes.compute_on_ray", lambda *_: happened.append("Ray")
    )
    compute(prepare_work(on_ray), lambda _: None, tmp_path / "log", happened.append)
    assert happened == [None, "Ray"]
    compute(prepare_work(here), lambda _: None, tmp_path / "log", happened.append)
    compute(prepare_work(on_ray), lambda _: None, tmp_path / "log", happened.append)
    assert happened == [None, "Ray"]


def experiment(number: int) -> dict[str, object]:
    key, value = f"mlflow.sharedViewState.view-{number}", '{"name": "accuracy by task"}'
    tags = [{"key": key, "value": value}]
    return {"experiment_id": str(number), "name": f"digits {number}", "tags": tags}


def test_ui_links_to_the_saved_views_of_every_experiment() -> None:
    lines = link_lines("http://127.0.0.1:5001", [experiment(1), experiment(2)])
    assert lines[0] == "MLflow   http://127.0.0.1:5001/#/experiments"
    assert lines[1] == "digits 1   http://127.0.0.1:5001/#/experiments/1"
    assert lines[2].startswith("  accuracy by task   http://127.0.0.1:5001/#/experiments/1/runs?")
    assert lines[3] == "digits 2   http://127.0.0.1:5001/#/experiments/2"
    assert lines[4].startswith("  accuracy by task   http://127.0.0.1:5001/#/experiments/2/runs?")
    assert lines[5:] == []
    [only, *_] = link_lines("http://127.0.0.1:5001", [experiment(1)])
    assert only == "digits 1   http://127.0.0.1:5001/#/experiments/1"
    many = link_lines("http://127.0.0.1:5001", [experiment(number) for number in range(12)])
    assert many[-1] == "and 2 more experiments"


def test_ui_lists_views_of_runs_before_those_of_trials() -> None:
    swept = sweep_view("f" * 32, SPACE)
    views = [swept, *trial_views(3), candidates_view("digits"), *run_views(3)]
    tags = [{"key": tag_of(view), "value": envelope(view, 0)} for view in views]
    shown = {"experiment_id": "1", "name": "digits", "tags": tags}
    lines = [line.strip().partition("   ")[0] for line in link_lines("http://127.0.0.1", [shown])]
    assert lines[1:] == [
        "Forgetting by task (3 tasks)",
        "Student against teacher",
        "Retraining candidates",
        "Trials: forgetting by task (3 tasks)",
        "Sweep space (ffffffff)",
    ]
