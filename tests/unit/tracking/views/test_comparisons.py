"""Saved views as values: the charts that they contain."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config import load_search_space
from orchestrator.config.search_space import SearchSpace
from orchestrator.tracking import names
from orchestrator.tracking.views.comparisons import (
    candidates_view,
    run_views,
    sweep_view,
    trial_views,
)
from orchestrator.tracking.views.view import Json, View

SEARCH_SPACES = sorted((Path(__file__).parents[4] / "search_spaces").glob("*.yaml"))
LOGGED = {*names.all_metrics(num_tasks=5), *names.TRIAL_METRICS}


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


@pytest.mark.parametrize(
    "view",
    [
        *run_views(5),
        *trial_views(5),
        candidates_view("house"),
        sweep_view("0" * 32, load_search_space(SEARCH_SPACES[0])),
    ],
    ids=lambda view: view.name,
)
def test_charts_show_logged_metrics_in_existing_sections(view: View) -> None:
    sections = {section["uuid"] for section in view.state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in charts(view)} <= sections
    assert len({chart["uuid"] for chart in charts(view)}) == len(charts(view))
    for chart in charts(view):
        assert metrics_of(chart) <= LOGGED
        assert metrics_of(chart)


def test_runs_trials_and_candidates_have_separate_views(tmp_path: Path) -> None:
    """Checked with MLflow's own search, which the page uses for a view's filter."""
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment_id = client.create_experiment("digits", artifact_location=str(tmp_path))
    for name, tags in {
        "run": {},
        "trial": {names.PARENT_RUN_TAG: "sweep"},
        "candidate": {names.RETRAINING_TAG: "the shop's"},
        "earlier candidate": {names.STATE_TAG: "promoted"},
        "another candidate": {names.RETRAINING_TAG: "house"},
        "sweep": {names.SWEEP_TAG: "sweep"},
    }.items():
        run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
        if name != "sweep":
            client.log_metric(run_id, "teacher/accuracy", 0.5)

    def shown(view: View) -> set[str]:
        found = client.search_runs([experiment_id], view.state["searchFilter"])
        return {str(run.info.run_name) for run in found}

    assert [shown(view) for view in run_views(3)] == [{"run"}, {"run"}]
    assert [shown(view) for view in trial_views(3)] == [{"trial"}]
    assert shown(candidates_view("the shop's")) == {"candidate"}


def test_every_metric_has_a_section_so_that_mlflow_adds_none_of_its_own() -> None:
    [forgetting, _] = run_views(5)
    own = {
        section["name"]: section["display"] for section in forgetting.state["compareRunSections"]
    }
    assert {name.rpartition("/")[0] for name in LOGGED} <= set(own)
    assert own["student_forgetting"]
    assert not own["final"]


def test_forgetting_of_every_task_but_the_last_is_shown_up_to_a_readable_number_of_lines() -> None:
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


def test_a_sweeps_view_shows_all_its_own_finished_trials_best_first() -> None:
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


def test_conditional_parameters_have_separate_charts_and_constants_none() -> None:
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
    assert [len(paths) for paths in axes] == [6, 5, 3, 1, 2, 1]
    # a parameter with a single value has no axis
    varied = [path for path in load_search_space(everything).parameters if "epochs" not in path]
    assert [path for paths in axes for path in paths] == varied
