"""Execute SQL in an MLflow database, in a form that both SQLite and PostgreSQL accept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.tracking.preflight import LOCK_SECONDS, unavailable
from orchestrator.tracking.schemas import NEWEST_SCHEMAS
from orchestrator.tracking.uris import uri_scheme

WORKSPACE = "default"
_DIALECTS = ("sqlite", "postgresql")
_WORKSPACE_SETTINGS = ("MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE")

Row = Mapping[str, Any]


class Database:
    """Executes SQL statements in the database of a tracking store.

    Each method raises `TrackingUnavailableError` if a statement fails.

    Attributes:
        uri: URI of the store, for messages.
    """

    def __init__(self, uri: str, engine: sqlalchemy.Engine) -> None:
        self.uri = uri
        self._engine = engine

    def rows(self, statement: str, **values: object) -> list[Row]:
        """Return the rows of a query.

        Args:
            statement: SQL with placeholders such as `:name`.
            values: Values of the placeholders, by name. A list or tuple is for a placeholder after
                `IN`.
        """
        text = sqlalchemy.text(statement).bindparams(
            *(
                sqlalchemy.bindparam(name, expanding=True)
                for name, value in values.items()
                if isinstance(value, list | tuple)
            )
        )
        with self._calls(), self._engine.connect() as connection:
            return [row._asdict() for row in connection.execute(text, values)]

    def row(self, statement: str, **values: object) -> Row | None:
        """Return the first row of a query; None if no row matches."""
        return next(iter(self.rows(statement, **values)), None)

    def pairs(self, statement: str, **values: object) -> dict[str, str]:
        """Return a dictionary from a query that selects the columns `key` and `value`."""
        return {row["key"]: row["value"] for row in self.rows(statement, **values)}

    def execute(self, statement: str, **values: object) -> None:
        """Execute a statement in a separate transaction."""
        with self._calls(), self._engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement), values)

    def revisions(self) -> set[str]:
        """Return the revisions of MLflow's schema; empty if MLflow has not created the tables."""
        with self._calls():
            if not sqlalchemy.inspect(self._engine).has_table("alembic_version"):
                return set()
        return {row["version_num"] for row in self.rows("SELECT version_num FROM alembic_version")}

    @contextmanager
    def _calls(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            raise unavailable(self.uri, error) from error


def open_database(uri: str) -> Database | None:
    """Return the database of a store; None if only MLflow can read the store.

    Only MLflow can read an MLflow server, an empty database, and a database of another kind or with
    an unknown schema. This also holds for every store if MLflow is configured to use workspaces.

    Args:
        uri: A supported and absolute URI of a store.

    Raises:
        TrackingUnavailableError: The database refuses the connection.
    """
    if uri_scheme(uri) not in _DIALECTS or any(map(os.environ.get, _WORKSPACE_SETTINGS)):
        return None
    waits = {"timeout": LOCK_SECONDS} if uri_scheme(uri) == "sqlite" else {}
    try:
        # Use no pool of connections, so that no connection stays open.
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, connect_args=waits)
    except (ImportError, SQLAlchemyError):
        # The database driver is missing. Return None: the caller then opens the store through
        # MLflow, and `tracking.mlflow.database` reports the missing driver.
        return None
    database = Database(uri, engine)
    return database if database.revisions() & {*NEWEST_SCHEMAS.values()} else None


def chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Split ids into parts of limited size, because databases limit the values of a statement."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
