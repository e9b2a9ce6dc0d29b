"""Prepare the schema of an MLflow database, in one process at a time: create a missing schema,
migrate an older schema, and reject a newer schema.
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

# Longest wait for the lock of a database, in seconds: another process may hold the lock while it
# migrates a large database.
_PATIENCE_SECONDS = 600
_QUIET_SECONDS = 10
_MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


@contextmanager
def database_ready(uri: str) -> Iterator[None]:
    """Prepare a database's schema for MLflow, and hold a lock while MLflow opens the database.

    The lock excludes other processes of this machine during the `with` block, because MLflow's own
    migrations fail if several processes open a new database file at once.

    Args:
        uri: A supported, absolute and reachable URI of a store. For an MLflow server, which manages
            its own database, this function does nothing.

    Raises:
        UserInputError: The schema is newer than the installed MLflow supports; the schema of a
            database server is older, and a person must migrate it; or a database driver is missing.
        TrackingUnavailableError: The database refuses the connection, or the migration failed.
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
        return  # the schema is current, or the database is empty and MLflow creates the tables
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
    """Return MLflow's schema migrations; cached, because reading them takes half a second."""
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

    SQLite commits each of MLflow's migration steps separately. A process that is killed between two
    steps would leave a database that no later process can open. If the temporary file cannot be
    written, this function creates nothing, and MLflow creates the tables on opening the database.
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
    # Run the command `mlflow db upgrade`, because MLflow's functions for migrations are private.
    # The command's arguments are visible to all users of the machine, but contain no secret.
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if answer.returncode != 0:
        raise unavailable(
            uri, f"mlflow db upgrade failed: {answer.stderr.strip().splitlines()[-1:]}"
        )
