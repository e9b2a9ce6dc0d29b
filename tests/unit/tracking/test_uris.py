import shlex
from pathlib import Path

import pytest

from orchestrator.config.addresses import absolute_tracking_uri
from orchestrator.errors import UserInputError
from orchestrator.tracking.uris import (
    artifact_root,
    experiment_url,
    require_supported,
    run_url,
    ui_command,
    version_url,
)

BASE = Path("/base")


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("sqlite:///mlflow.db", "sqlite:////base/mlflow.db"),
        (
            "sqlite:///some folder/runs.db?timeout=5",
            "sqlite:////base/some folder/runs.db?timeout=5",
        ),
        ("sqlite:////elsewhere/mlflow.db", "sqlite:////elsewhere/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://tracking:5000", "http://tracking:5000"),
        ("postgresql://user@host/runs", "postgresql://user@host/runs"),
        ("mlruns", "mlruns"),
    ],
)
def test_only_a_relative_sqlite_path_is_made_absolute(uri: str, absolute: str) -> None:
    assert absolute_tracking_uri(uri, BASE) == absolute
    assert absolute_tracking_uri(absolute, Path("/other")) == absolute


def test_the_home_directory_may_be_written_as_a_tilde() -> None:
    assert (
        absolute_tracking_uri("sqlite:///~/mlflow.db", BASE) == f"sqlite:///{Path.home()}/mlflow.db"
    )


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("mlruns", "file store.*sqlite:///mlflow.db"),
        ("file:///data/mlruns", "file store.*sqlite:///mlflow.db"),
        ("ftp://host/runs", "unsupported scheme"),
        ("databricks://profile", "unsupported scheme"),
        ("sqlite:///:memory:", "names no database file"),
        ("sqlite://", "names no database file"),
    ],
)
def test_an_unusable_tracking_uri_is_rejected_with_alternatives(uri: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        require_supported(uri)


@pytest.mark.parametrize(
    "uri", ["sqlite:///a.db", "http://host", "https://host/mlflow", "postgresql+psycopg2://host/db"]
)
def test_supported_uris_are_accepted(uri: str) -> None:
    require_supported(uri)


def test_artifacts_of_a_sqlite_store_are_next_to_the_database() -> None:
    assert artifact_root("sqlite:////data/mlflow.db") == Path("/data/mlartifacts")


def test_an_mlflow_server_decides_where_its_artifacts_are() -> None:
    assert artifact_root("http://host:5000") is None


def test_the_ui_command_is_quoted_for_a_shell() -> None:
    assert shlex.split(ui_command("sqlite:////my data/mlflow.db")) == [
        "orchestrator",
        "ui",
        "--tracking-uri",
        "sqlite:////my data/mlflow.db",
    ]


def test_the_ui_command_omits_the_store_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ui_command(f"sqlite:///{tmp_path}/mlflow.db") == "orchestrator ui"


def test_a_server_has_a_page_instead_of_a_ui_command() -> None:
    assert ui_command("https://host/mlflow/") == "https://host/mlflow/#/experiments"
    assert ui_command("https://host", "12") == "https://host/#/experiments/12"


def test_an_experiment_has_a_page_on_the_server_or_on_the_local_ui() -> None:
    assert experiment_url("https://host", "12") == "https://host/#/experiments/12"
    assert experiment_url("sqlite:////a.db", "1") == "http://127.0.0.1:5000/#/experiments/1"


def test_the_ui_command_or_page_has_no_password() -> None:
    assert "secret" not in ui_command("postgresql://me:secret@host/db")
    assert ui_command("http://me:secret@host") == "http://host/#/experiments"


@pytest.mark.parametrize(
    ("uri", "run", "version"),
    [
        (
            "https://user:secret@mlflow.example/base/?x=1",
            "https://mlflow.example/base/#/runs/3f2a",
            "https://mlflow.example/base/#/models/a%20b%2Fc-student/versions/7",
        ),
        ("sqlite:////data/mlflow.db", "", ""),
        ("postgresql://user:secret@db/mlflow", "", ""),
    ],
    ids=["server", "sqlite", "database server"],
)
def test_only_servers_have_pages_of_runs_and_versions_and_no_link_has_a_password(
    uri: str, run: str, version: str
) -> None:
    assert run_url(uri, "3f2a") == run
    assert version_url(uri, "a b/c-student", 7) == version
    assert run_url(uri, "") == ""


@pytest.mark.parametrize(
    "uri",
    [
        *("file://me:SECRET@host/x", "ftp://me:SECRET@host", "me:SECRET@host/db"),
        *("http://me:SECRET/x@host", "http://host:SECRET", "sqlite://me:SECRET@host"),
    ],
)
def test_an_unusable_address_is_rejected_without_showing_its_secret(uri: str) -> None:
    with pytest.raises(UserInputError) as refused:
        require_supported(uri)
    assert "SECRET" not in str(refused.value)
