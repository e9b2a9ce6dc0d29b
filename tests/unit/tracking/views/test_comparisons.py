"""Saved views: what they hold, how long they get, and when they are written to a real store."""

import json
import logging
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config import load_search_space
from orchestrator.config.search_space import SearchSpace
from orchestrator.tracking import names
from orchestrator.tracking.mlflow.saved_views import (
    MAX_VALUE_CHARACTERS,
    envelope,
    save_views,
    state_of,
    tag_of,
    view_names,
    view_url,
)
from orchestrator.tracking.views.comparisons import run_views, sweep_view
from orchestrator.tracking.views.view import Json, View

SEARCH_SPACES = sorted((Path(__file__).parents[4] / "search_spaces").glob("*.yaml"))
LOGGED = {*names.all_metrics(num_tasks=5), *names.TRIAL_METRICS}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('views')}/mlflow.db")


@pytest.fixture
def experiment_id(client: MlflowClient, request: pytest.FixtureRequest) -> str:
    return str(client.create_experiment(request.node.name))


def charts(view: View) -> list[Json]:
    return list(view.state["compareRunCharts"])


def metrics_of(chart: Json) -> set[str]:
    axes = [chart[axis]["key"] for axis in ("xaxis", "yaxis") if axis in chart]
    return {*axes, *chart.get("selectedMetricKeys", []), *chart.get("selectedMetrics", [])}


def sweep_of(parameters: dict[str, object], mode: str = "max") -> View:
    return sweep_view(
        "f" * 32,
        SearchSpace.model_validate({"mode": mode, "num_trials": 3, "parameters": parameters}),
    )


# --- what they hold -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [*run_views(5), sweep_view("0" * 32, load_search_space(SEARCH_SPACES[0]))],
    ids=lambda view: view.name,
)
def test_charts_show_metrics_that_are_logged_in_sections_that_exist(view: View) -> None:
    sections = {section["uuid"] for section in view.state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in charts(view)} <= sections
    assert len({chart["uuid"] for chart in charts(view)}) == len(charts(view))
    for chart in charts(view):
        assert metrics_of(chart) <= LOGGED
        assert metrics_of(chart)


def test_every_metric_has_a_section_so_that_mlflow_opens_none_of_its_own() -> None:
    [forgetting, _] = run_views(5)
    own = {
        section["name"]: section["display"] for section in forgetting.state["compareRunSections"]
    }
    assert {name.rpartition("/")[0] for name in LOGGED} <= set(own)
    assert own["student_forgetting"]
    assert not own["final"]


def test_forgetting_of_every_task_but_the_last_is_shown_while_lines_can_be_told_apart() -> None:
    def shown(num_tasks: int) -> list[int]:
        chart = next(chart for chart in charts(run_views(num_tasks)[0]) if "displayName" in chart)
        return [int(metric[-2:]) for metric in chart["selectedMetricKeys"]]

    assert shown(1) == [0]
    assert shown(2) == [0]
    assert shown(5) == [0, 1, 2, 3]
    assert shown(7) == [0, 1, 2, 3, 4, 5]
    assert shown(30) == [0, 6, 11, 17, 22, 28]


def test_student_and_teacher_are_compared_as_points_and_as_curves() -> None:
    [_, view] = run_views(5)
    assert [chart["type"] for chart in charts(view)] == [
        "SCATTER",
        "SCATTER",
        "LINE",
        "LINE",
        "LINE",
        "LINE",
    ]
    assert charts(view)[0]["xaxis"]["key"] == "final/teacher_last_accuracy"
    assert charts(view)[0]["yaxis"]["key"] == "final/student_last_accuracy"
    assert [chart["selectedMetricKeys"] for chart in charts(view)[3:]] == [
        [f"student_training/{part}"] for part in ("tssr", "tstr", "kdr")
    ]


def test_a_sweep_shows_its_own_finished_trials_all_of_them_the_best_first() -> None:
    view = sweep_of({"student.temperature": {"kind": "uniform", "low": 1, "high": 8}}, mode="min")
    assert (
        view.state["searchFilter"]
        == f"tags.`orchestrator.sweep` = '{'f' * 32}' AND attributes.status = 'FINISHED'"
    )
    assert (view.state["orderByKey"], view.state["orderByAsc"]) == (
        "metrics.`trial/objective`",
        True,
    )
    assert view.state["runsHiddenMode"] == "SHOW_ALL"
    assert [chart["type"] for chart in charts(view)] == ["PARALLEL", "SCATTER", "SCATTER", "BAR"]


def test_parameters_that_not_all_trials_have_get_a_chart_of_their_own_and_constants_none() -> None:
    view = sweep_of(
        {
            "student.transfer.ratio": {
                "kind": "uniform",
                "low": 0,
                "high": 1,
                "when": {"student.transfer.kind": "fixed"},
            },
            "student.transfer.kind": {"kind": "choice", "values": ["fixed", "linear"]},
            "student.training.epochs": {"kind": "choice", "values": [2]},
        }
    )
    axes = [chart["selectedParams"] for chart in charts(view) if chart["type"] == "PARALLEL"]
    assert axes == [["student.transfer.kind"], ["student.transfer.ratio"]]
    assert "Where student.transfer.kind = fixed" in [
        section["name"] for section in view.state["compareRunSections"]
    ]


def test_many_parameters_are_spread_over_charts_of_up_to_six_axes_in_their_order() -> None:
    everything = next(file for file in SEARCH_SPACES if file.stem == "everything")
    axes = [
        chart["selectedParams"]
        for chart in charts(sweep_view("0" * 32, load_search_space(everything)))
        if chart["type"] == "PARALLEL"
    ]
    assert [len(paths) for paths in axes] == [6, 5, 3, 2, 1]
    assert [path for paths in axes for path in paths] == list(
        load_search_space(everything).parameters
    )


@pytest.mark.parametrize("num_tasks", [1, 5, 30, 1000])
def test_run_views_fit_into_a_tag_however_many_tasks_there_are(num_tasks: int) -> None:
    assert all(
        len(envelope(view, 2**50)) < MAX_VALUE_CHARACTERS / 10 for view in run_views(num_tasks)
    )


@pytest.mark.parametrize("file", SEARCH_SPACES, ids=lambda file: file.stem)
def test_views_of_shipped_sweeps_fit_into_a_tag(file: Path) -> None:
    assert (
        len(envelope(sweep_view("0" * 32, load_search_space(file)), 2**50))
        < MAX_VALUE_CHARACTERS / 10
    )


# --- how they are kept ----------------------------------------------------------------------------


def test_the_value_is_what_mlflow_s_page_reads() -> None:
    [view, _] = run_views(3)
    saved = json.loads(envelope(view, 7))
    assert {key: type(value) for key, value in saved.items()} == {
        "name": str,
        "createdAt": int,
        "updatedAt": int,
        "state": str,
    }
    assert saved["state"].startswith("deflate;")
    assert state_of(envelope(view, 7)) == view.state


@pytest.mark.parametrize(
    "value",
    ["", "[]", '"text"', '{"name": "a", "state": "deflate;AAAA"}', '{"name": "a", "state": 3}'],
)
def test_what_holds_no_view_has_no_state(value: str) -> None:
    assert state_of(value) == {}


def test_views_are_written_once_and_again_when_they_change(
    client: MlflowClient, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = run_views(5)
    save_views(client, experiment_id, views)
    first = client.get_experiment(experiment_id).tags
    assert [state_of(first[tag_of(view)]) for view in views] == [view.state for view in views]
    save_views(client, experiment_id, views)
    assert client.get_experiment(experiment_id).tags == first
    save_views(client, experiment_id, [View(views[0].id, "another name", views[0].state)])
    assert view_names(client.get_experiment(experiment_id).tags) == {
        views[0].id: "another name",
        views[1].id: "Student against teacher",
    }


def test_a_view_that_a_person_saved_anew_on_the_page_stays_as_it_is(
    client: MlflowClient, experiment_id: str
) -> None:
    [view, _] = run_views(5)
    edited = json.dumps({"name": view.name, "createdAt": 1, "updatedAt": 2, "state": "{}"})
    client.set_experiment_tag(experiment_id, tag_of(view), edited)
    save_views(client, experiment_id, [view])
    assert client.get_experiment(experiment_id).tags[tag_of(view)] == edited


@pytest.mark.parametrize("version", ["3.15.0", "3.18.0", "4.0.0.dev0"])
def test_nothing_is_written_for_an_mlflow_whose_page_was_not_looked_at(
    client: MlflowClient, experiment_id: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow.__version__", version)
    save_views(client, experiment_id, run_views(5))
    assert view_names(client.get_experiment(experiment_id).tags) == {}


def test_a_view_too_long_for_a_tag_is_left_out(client: MlflowClient, experiment_id: str) -> None:
    noise = [f"{number * 2654435761 % 2**32:x}" for number in range(5000)]
    save_views(client, experiment_id, [View("long", "too long", {"searchFilter": " ".join(noise)})])
    assert view_names(client.get_experiment(experiment_id).tags) == {}


def test_a_store_that_does_not_take_views_is_a_warning_and_no_error(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        save_views(client, "4711", run_views(5))
    assert "the comparison views of experiment 4711 could not be saved" in caplog.text


def test_the_link_opens_the_charts_of_a_view() -> None:
    query = "viewStateShareKey=a-b&compareRunsMode=CHART&workflowType=machine_learning"
    expected = f"#/experiments/3/runs?{query}"
    assert view_url("sqlite:////a/mlflow.db", "3", "a-b") == f"http://127.0.0.1:5000/{expected}"
    assert view_url("https://me:secret@host/mlflow/", "3", "a-b").endswith(
        f"host/mlflow/{expected}"
    )
    assert "secret" not in view_url("https://me:secret@host/mlflow/", "3", "a-b")
