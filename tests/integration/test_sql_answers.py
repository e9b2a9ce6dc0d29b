"""SQL queries of an MLflow database give the same answers as the installed MLflow."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import sqlalchemy
from alembic.script import ScriptDirectory

from orchestrator.errors import OrchestratorError, TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.mlflow.records import MlflowRecords
from orchestrator.tracking.mlflow.registry import MlflowRegistry
from orchestrator.tracking.reading import open_registry
from orchestrator.tracking.registry import TEACHER_TAG
from orchestrator.tracking.run_query import Records, RunQuery
from orchestrator.tracking.schemas import newest_schema
from orchestrator.tracking.sql.database import open_database
from orchestrator.tracking.sql.records import DatabaseRecords
from orchestrator.tracking.sql.registry import DatabaseRegistry
from tests.recorded_store import (
    assert_same_runs,
    assert_same_versions,
    record_runs,
    register_versions,
)


@pytest.fixture(scope="module")
def recorded(new_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    uri = new_database(folder)
    register_versions(uri, folder / "models")
    record_runs(uri, folder)
    return folder / "mlflow.db"


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> str:
    """Return the address of a copy that a test may change."""
    return f"sqlite:///{shutil.copy(recorded, tmp_path)}"


def test_the_newest_schema_of_the_installed_mlflow_is_known() -> None:
    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    assert migrations.get_heads() == [newest_schema(mlflow.__version__)]


def test_the_registry_in_sql_equals_mlflows(store: str, tmp_path: Path) -> None:
    sql = open_registry(store, "pets")
    assert isinstance(sql, DatabaseRegistry)
    assert_same_versions(sql, MlflowRegistry(store, "pets"), tmp_path / "copies")


def test_runs_read_in_sql_equal_those_of_mlflow(store: str) -> None:
    database = open_database(store)
    assert database is not None

    def never() -> Records:
        raise AssertionError

    assert_same_runs(DatabaseRecords(database, never), MlflowRecords(store))


def test_versions_read_in_pages_equal_those_read_at_once(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = open_registry(store, "pets")
    at_once = registry.versions("student")
    monkeypatch.setattr("orchestrator.tracking.sql.versions._PER_PAGE", 1)
    assert len(at_once) == 2
    assert registry.versions("student") == at_once


def test_no_query_scans_data_of_other_runs_and_versions(store: str) -> None:
    """Only the table of runs has no index for these queries; its rows are short."""
    database = open_database(store)
    assert database is not None
    statements: list[tuple[str, Any]] = []
    engine = database._engine

    def note(*event: Any) -> None:  # noqa: ANN401
        statements.append(event[2:4])

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    records = DatabaseRecords(database, lambda: MlflowRecords(store))
    ids = [*records.experiments()]
    one, *_ = records.runs(RunQuery(ids, tags={names.METHOD_TAG: "one"}))
    assert list(records.runs(RunQuery(ids, run_id_prefix=one.run_id[:6])))
    assert list(records.runs(RunQuery(ids, has_tags=[names.SWEEP_TAG])))
    assert records.histories(one.run_id, ["final/x"])["final/x"]
    assert records.version("pets-student", "1").tags
    assert list(records.students_with_tag(TEACHER_TAG))
    registry = DatabaseRegistry(database, "pets", lambda: MlflowRegistry(store, "pets"))
    assert registry.versions("student", TEACHER_TAG, "2")
    noted = [*statements]
    with engine.connect() as connection:
        steps = [
            str(row[3])
            for text, values in noted
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    tables = ("params", "tags", "metrics", "latest_metrics", "model_version_tags", "t", "g")
    own = [step for step in steps if step.split()[:1] != ["SCAN"] and step.split()[1] in tables]
    assert not [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables]
    assert all("run_uuid=?" in step or "key=?" in step or "version=?" in step for step in own)
    assert [step for step in own if "SEARCH metrics" in step and "run_uuid=?" in step]


def test_artifacts_stored_elsewhere_are_read_through_mlflow(store: str) -> None:
    database = open_database(store)
    assert database is not None
    run_id = str(database.rows("SELECT run_uuid FROM runs WHERE name = 'one'")[0]["run_uuid"])
    database.execute("UPDATE runs SET artifact_uri = 'nonesuch://bucket/folder'")
    records = DatabaseRecords(database, lambda: MlflowRecords(store))
    with pytest.raises(OrchestratorError, match="nonesuch"):
        records.list_files(run_id)


def test_a_registry_without_models_is_empty_and_ignores_tags(store: str, tmp_path: Path) -> None:
    sql = open_registry(store, "plants")
    sql.set_model_tag("student", "orchestrator.tick", "lost")
    assert (sql.model_tags("student"), sql.versions("student")) == ({}, [])
    assert sql.with_alias("student", "champion") is None
    with pytest.raises(OrchestratorError, match="no plants-student version 1"):
        sql.version("student", "1")


def test_missing_files_of_a_version_are_one_error(store: str, tmp_path: Path) -> None:
    for registry in (open_registry(store, "pets"), MlflowRegistry(store, "pets")):
        with pytest.raises(OrchestratorError, match=r"its files gone/x\.json are missing \("):
            registry.download("teacher", "1", "gone/x.json", tmp_path / "copy")


def test_a_runs_file_is_read_as_mlflow_reads_it(store: str, tmp_path: Path) -> None:
    database = open_database(store)
    assert database is not None
    run_id = str(database.rows("SELECT run_uuid FROM runs WHERE name = 'one'")[0]["run_uuid"])
    for registry in (open_registry(store, "pets"), MlflowRegistry(store, "pets")):
        assert registry.run_file(run_id, "summary.json", tmp_path) == '{"name": "one"}'
        assert not registry.run_file(run_id, "gone.json", tmp_path)


@pytest.mark.parametrize(
    "change",
    ["UPDATE alembic_version SET version_num = 'ffffffffffff'", "DROP TABLE alembic_version"],
)
def test_a_database_of_another_schema_is_read_through_mlflow(store: str, change: str) -> None:
    assert open_database(store) is not None
    with sqlalchemy.create_engine(store, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.execute(sqlalchemy.text(change))
    assert open_database(store) is None


def test_workspaces_servers_and_other_databases_are_read_through_mlflow(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_database("http://127.0.0.1:1") is None
    assert open_database("mysql://127.0.0.1:1/mlflow") is None
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert open_database(store) is None


def test_a_broken_database_is_unavailable(store: str) -> None:
    database = open_database(store)
    assert database is not None
    with sqlalchemy.create_engine(store, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE model_version_tags"))
    with pytest.raises(TrackingUnavailableError, match="cannot be used"):
        DatabaseRegistry(database, "pets", lambda: MlflowRegistry(store, "pets")).versions(
            "student"
        )
