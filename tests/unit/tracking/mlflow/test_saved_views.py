"""Saved views in a real store: their length, and when they are written."""

import json
import logging
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config import load_search_space
from orchestrator.tracking.mlflow.runs import Store
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
from orchestrator.tracking.views.view import View

SEARCH_SPACES = sorted((Path(__file__).parents[4] / "search_spaces").glob("*.yaml"))


@pytest.fixture
def client(store: Store) -> MlflowClient:
    return store.client


@pytest.fixture
def experiment_id(client: MlflowClient, request: pytest.FixtureRequest) -> str:
    return str(client.create_experiment(request.node.name))


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


def test_the_value_has_the_form_that_mlflows_page_reads() -> None:
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
def test_a_tag_without_a_view_has_no_state(value: str) -> None:
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


def test_a_view_that_a_user_changed_on_the_page_is_kept(
    client: MlflowClient, experiment_id: str
) -> None:
    [view, _] = run_views(5)
    edited = json.dumps({"name": view.name, "createdAt": 1, "updatedAt": 2, "state": "{}"})
    client.set_experiment_tag(experiment_id, tag_of(view), edited)
    save_views(client, experiment_id, [view])
    assert client.get_experiment(experiment_id).tags[tag_of(view)] == edited


@pytest.mark.parametrize("version", ["3.15.0", "3.18.0", "4.0.0.dev0"])
def test_nothing_is_written_for_an_unsupported_mlflow_version(
    client: MlflowClient, experiment_id: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow.__version__", version)
    save_views(client, experiment_id, run_views(5))
    assert view_names(client.get_experiment(experiment_id).tags) == {}


def test_a_view_too_long_for_a_tag_is_omitted(client: MlflowClient, experiment_id: str) -> None:
    noise = [f"{number * 2654435761 % 2**32:x}" for number in range(5000)]
    save_views(client, experiment_id, [View("long", "too long", {"searchFilter": " ".join(noise)})])
    assert view_names(client.get_experiment(experiment_id).tags) == {}


def test_a_store_that_rejects_views_is_a_warning_and_no_error(
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
