"""What is asked of an MLflow database in SQL, compared with the answers of the installed MLflow."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import mlflow
import pytest
import sqlalchemy
from alembic.script import ScriptDirectory
from mlflow import MlflowClient

from orchestrator.errors import OrchestratorError, TrackingUnavailableError
from orchestrator.tracking.mlflow.registry import MlflowRegistry
from orchestrator.tracking.reading import open_registry
from orchestrator.tracking.registry import TEACHER_TAG, ModelRegistry
from orchestrator.tracking.sql.database import KNOWN_SCHEMAS, open_database
from orchestrator.tracking.sql.registry import DatabaseRegistry


def register_versions(uri: str, folder: Path) -> None:
    """Register three versions of each role's model, of which the last is deleted; the champion is
    the second.
    """
    client = MlflowClient(uri, uri)
    for role in ("teacher", "student"):
        name = f"pets-{role}"
        client.create_registered_model(name)
        for number in (1, 2, 3):
            files = folder / role / str(number) / "continual"
            files.mkdir(parents=True)
            (files / "lineage.json").write_text(f"{role} {number}")
            tags = {"role": role, TEACHER_TAG: str(number), "odd": "it's 100 %; naïve"}
            client.create_model_version(name, files.parent.as_uri(), "f" * 32, tags)
        client.set_registered_model_alias(name, "champion", "2")
        client.delete_model_version(name, "3")


def assert_same_versions(sql: ModelRegistry, asked: ModelRegistry, folder: Path) -> None:
    """Compare every answer of two registries, and what either writes with what both read."""
    roles: tuple[Literal["teacher", "student"], ...] = ("teacher", "student")
    for role in roles:
        assert len(asked.versions(role)) == 2
        assert sql.versions(role) == asked.versions(role)
        assert sql.versions(role, TEACHER_TAG, "2") == asked.versions(role, TEACHER_TAG, "2")
        for number in ("1", "2", "3", "4", "newest"):
            assert sql.find(role, number) == asked.find(role, number)
        assert sql.version(role, "1") == asked.version(role, "1")
        for alias in ("champion", "previous"):
            assert sql.with_alias(role, alias) == asked.with_alias(role, alias)
        for writer, text in ((sql, "one"), (asked, "two"), (sql, "x" * 6000), (sql, "it's")):
            writer.set_model_tag(role, "orchestrator.tick", text)
            expected = {"orchestrator.tick": text[:5000]}
            assert sql.model_tags(role) == asked.model_tags(role) == expected
        for path in ("continual", "continual/lineage.json"):
            found = {
                name: registry.download(role, "2", path, folder / name)
                for name, registry in (("sql", sql), ("asked", asked))
            }
            inside = [copy.relative_to(folder / name) for name, copy in found.items()]
            assert inside[0] == inside[1]
            file = found["sql"] / "lineage.json" if found["sql"].is_dir() else found["sql"]
            assert file.read_text() == f"{role} 2"
        sql.set_tags(role, "1", {"changed": "yes"})
        sql.set_alias(role, "previous", "1")
        assert sql.with_alias(role, "previous") == asked.with_alias(role, "previous")
        assert sql.find(role, "1") == asked.find(role, "1")


@pytest.fixture(scope="module")
def recorded(new_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    register_versions(new_database(folder), folder / "models")
    return folder / "mlflow.db"


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> str:
    """Return the address of a copy, which a test may change."""
    return f"sqlite:///{shutil.copy(recorded, tmp_path)}"


def test_the_schema_of_the_installed_mlflow_is_known() -> None:
    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    assert {*migrations.get_heads()} <= KNOWN_SCHEMAS


def test_the_registry_in_sql_answers_as_mlflow_does(store: str, tmp_path: Path) -> None:
    sql = open_registry(store, "pets")
    assert isinstance(sql, DatabaseRegistry)
    assert_same_versions(sql, MlflowRegistry(store, "pets"), tmp_path / "copies")


def test_a_registry_without_models_is_empty_and_takes_no_tag(store: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    "change",
    ["UPDATE alembic_version SET version_num = 'ffffffffffff'", "DROP TABLE alembic_version"],
)
def test_a_database_of_another_schema_is_left_to_mlflow(store: str, change: str) -> None:
    assert open_database(store) is not None
    with sqlalchemy.create_engine(store, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.execute(sqlalchemy.text(change))
    assert open_database(store) is None


def test_workspaces_servers_and_other_databases_are_left_to_mlflow(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_database("http://127.0.0.1:1") is None
    assert open_database("mysql://127.0.0.1:1/mlflow") is None
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert open_database(store) is None


def test_a_database_that_breaks_is_unavailable(store: str) -> None:
    database = open_database(store)
    assert database is not None
    with sqlalchemy.create_engine(store, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE model_version_tags"))
    with pytest.raises(TrackingUnavailableError, match="cannot be used"):
        DatabaseRegistry(database, "pets", lambda: MlflowRegistry(store, "pets")).versions(
            "student"
        )
