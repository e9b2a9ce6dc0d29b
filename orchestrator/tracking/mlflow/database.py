"""The schema of an MLflow database: created by one process at a time, migrated if older, rejected
if newer.
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

# migrating a database of gigabytes takes minutes
_PATIENCE_SECONDS = 600
_QUIET_SECONDS = 10
_MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


@contextmanager
def database_ready(uri: str) -> Iterator[None]:
    """Lock out other processes of this machine while MLflow first opens the database, with a schema
    that it accepts.

    MLflow's own migrations fail when several processes open a new database file at once.

    Args:
        uri: Supported, absolute and reachable. Nothing is done for an MLflow server, which owns its
            database.

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
        return  # empty (MLflow creates the tables when it opens it), or up to date
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
        next_step = "install it, for PostgreSQL: pip install 'psycopg[binary]'"
        raise UserInputError(
            f"the database driver is missing ({hide(error, uri)})", shown(uri), next_step
        ) from error
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _create_whole(database: Path) -> None:
    """Create MLflow's tables in a file beside the database, and put it there when it is complete.

    SQLite commits each step of MLflow's migrations: a process that is killed between two of them
    would leave a database that no later process can open. Where the file cannot be written, MLflow
    creates the tables itself, or says why not.
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
        logger.debug("the tables are not created beside the database: %s", error)
        making.unlink(missing_ok=True)


def _back_up(database: Path, backup: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)


def _upgrade(uri: str) -> None:
    # The command is MLflow's public way to migrate; its functions are private. Every user sees the
    # arguments of a process: they contain only the file's path.
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if answer.returncode != 0:
        raise unavailable(
            uri, f"mlflow db upgrade failed: {answer.stderr.strip().splitlines()[-1:]}"
        )
