"""Prepare the schema of an MLflow database: one process at a time creates it, migrates an older
one, and rejects a newer one.
"""

import hashlib
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import mlflow
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from filelock import FileLock, Timeout
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from orchestrator.address import Address
from orchestrator.config.addresses import sqlite_path
from orchestrator.errors import UserInputError
from orchestrator.masking import hide, shown
from orchestrator.private_folder import private_folder
from orchestrator.tracking.preflight import unavailable
from orchestrator.tracking.schemas import newest_schema
from orchestrator.tracking.uris import SERVER_SCHEMES, uri_scheme

logger = logging.getLogger(__name__)

# Another process may hold the lock for minutes while it migrates a database of gigabytes.
_PATIENCE_SECONDS = 600
_QUIET_SECONDS = 10
_MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


@contextmanager
def database_ready(uri: str) -> Iterator[None]:
    """Prepare the database's schema for MLflow, and lock out other processes of this machine while
    MLflow opens the database for the first time.

    MLflow's own migrations fail when several processes open a new database file at once.

    Args:
        uri: A supported, absolute and reachable URI of a store. For an MLflow server, which manages
            its own database, this function does nothing.

    Raises:
        UserInputError: The schema is newer than the installed MLflow, a database server has an
            older schema, or a database driver is missing.
        TrackingUnavailableError: The database refuses the connection, or migrating it failed.
    """
    if uri_scheme(uri) in SERVER_SCHEMES:
        yield
        return
    with _locked(uri):
        _check_schema(uri)
        yield


@contextmanager
def _locked(uri: str) -> Iterator[None]:
    digest = hashlib.sha256(Address(uri).identity.encode()).hexdigest()[:16]
    file = private_folder() / f"tracking-{digest}.lock"
    lock = FileLock(file, timeout=_PATIENCE_SECONDS, mode=0o600)
    try:
        lock.acquire(timeout=_QUIET_SECONDS)
    except Timeout:
        logger.warning("waiting for another process that opens the tracking database (%s)", file)
        try:
            lock.acquire()
        except Timeout:
            raise unavailable(
                uri,
                f"another process has been opening the database for {_PATIENCE_SECONDS} s and holds"
                f" {file}: end it, or wait",
            ) from None
    try:
        yield
    finally:
        lock.release()


def _check_schema(uri: str) -> None:
    current = _schema_revision(uri)
    path = sqlite_path(uri)
    if current is None and path is not None and path.stat().st_size == 0:
        _create_whole(path)
    if current is None or current == newest_schema(mlflow.__version__):
        return  # the database is up to date, or empty: MLflow creates the tables when opening it
    scripts = _migrations()
    if current in scripts.get_heads():
        return
    where = shown(uri)
    try:
        scripts.get_revision(current)
    except CommandError as error:
        what = f"schema version {current} is unknown to MLflow {mlflow.__version__}"
        next_step = (
            "a newer MLflow or another program created this database: upgrade mlflow, or choose"
            " another database"
        )
        raise UserInputError(what, where, next_step) from error
    if path is None:
        what = f"the schema (version {current}) is older than MLflow {mlflow.__version__} needs"
        raise UserInputError(what, where, "take a backup, then run: mlflow db upgrade URI")
    _back_up(path, path.with_name(f"{path.name}.before-{current}"))
    _upgrade(f"sqlite:///{path}")


@cache
def _migrations() -> ScriptDirectory:
    """Return MLflow's migrations, cached because reading them takes half a second."""
    return ScriptDirectory(str(_MIGRATIONS))


def _schema_revision(uri: str) -> str | None:
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    except (ModuleNotFoundError, sqlalchemy.exc.NoSuchModuleError) as error:
        next_step = "install the driver, for PostgreSQL: pip install 'psycopg[binary]'"
        raise UserInputError(
            f"the database driver is missing ({hide(error, uri)})", shown(uri), next_step
        ) from error
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _create_whole(database: Path) -> None:
    """Create MLflow's tables in a temporary file, then move the complete file to the database's
    path.

    SQLite commits each step of MLflow's migrations: a process that is killed between two of them
    would leave a database that no later process can open. If the temporary file cannot be written,
    MLflow creates the tables itself, or reports why it cannot.
    """
    making = database.with_name(f"{database.name}.new")
    try:
        making.unlink(missing_ok=True)
        engine = sqlalchemy.create_engine(f"sqlite:///{making}", poolclass=sqlalchemy.NullPool)
        InitialBase.metadata.create_all(engine)
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")
        making.replace(database.resolve())
    except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
        logger.debug(
            "the tables cannot be created in a temporary file, so MLflow creates them: %s", error
        )
        making.unlink(missing_ok=True)


def _back_up(database: Path, backup: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)


def _upgrade(uri: str) -> None:
    # This command is MLflow's only public way to migrate; the functions behind it are private. All
    # users of a machine can see a command's arguments: these contain only the file's path.
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if answer.returncode != 0:
        raise unavailable(
            uri, f"mlflow db upgrade failed: {answer.stderr.strip().splitlines()[-1:]}"
        )
