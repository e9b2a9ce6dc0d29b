"""The schema of a database: not touched if newer, migrated if older."""

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import TrackingUnavailableError, UserInputError
from orchestrator.private_folder import private_folder
from orchestrator.tracking import open_run
from orchestrator.tracking.mlflow import database
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.schemas import newest_schema


def test_the_database_of_a_newer_mlflow_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('feedbeef0000')")
        connection.commit()
    before = file.read_bytes()
    tracking = TrackingConfig(uri=f"sqlite:///{file}", spool=tmp_path / "spool")
    with pytest.raises(UserInputError, match=r"feedbeef0000 is unknown to MLflow.*upgrade mlflow"):
        open_run(tracking, "experiment", "run", {})
    assert file.read_bytes() == before


def test_a_process_killed_while_it_creates_a_database_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, file = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlflow.db"

    def killed(config: Config, revision: str) -> None:
        config.attributes["connection"].exec_driver_sql("ALTER TABLE metrics ADD COLUMN step")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", killed)  # Alembic's, which the database uses
        with pytest.raises(KeyboardInterrupt), database_ready(uri):
            pass
    assert file.stat().st_size == 0
    with database_ready(uri), closing(sqlite3.connect(file)) as created:
        [(revision,)] = created.execute("SELECT version_num FROM alembic_version").fetchall()
    assert revision == newest_schema(mlflow.__version__)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.slow
def test_an_older_database_is_backed_up_and_migrated(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    engine = create_engine(uri)
    Base.metadata.create_all(engine)
    config = Config()
    migrations = str(Path(mlflow.__file__).parent / "store" / "db_migrations")
    config.set_main_option("script_location", migrations)
    scripts = ScriptDirectory(migrations)
    older = [revision.revision for revision in scripts.walk_revisions()][1]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, older)
    engine.dispose()
    with database_ready(uri), closing(sqlite3.connect(tmp_path / "mlflow.db")) as migrated:
        assert migrated.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (scripts.get_heads()[0],)
        ]
    with closing(sqlite3.connect(tmp_path / f"mlflow.db.before-{older}")) as backup:
        assert backup.execute("SELECT version_num FROM alembic_version").fetchall() == [(older,)]


def test_waiting_for_another_process_s_lock_is_reported_and_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(database, "_QUIET_SECONDS", 0.05)
    monkeypatch.setattr(database, "_PATIENCE_SECONDS", 0.1)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with database_ready(uri):
        (lock,) = private_folder().glob("*.lock")
        assert lock.stat().st_mode & 0o077 == 0
    with (
        FileLock(lock, is_singleton=False),
        pytest.raises(TrackingUnavailableError, match=r"another process has been opening .*\.lock"),
        database_ready(uri),
    ):
        pass
    assert "waiting for another process" in caplog.text
    with database_ready(uri):
        pass
