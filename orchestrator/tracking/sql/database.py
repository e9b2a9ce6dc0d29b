"""One MLflow database, asked in SQL that SQLite and PostgreSQL share."""

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
    """Runs statements; what goes wrong is a `TrackingUnavailableError`.

    Attributes:
        uri: Of the store, for messages.
    """

    def __init__(self, uri: str, engine: sqlalchemy.Engine) -> None:
        self.uri = uri
        self._engine = engine

    def rows(self, statement: str, **values: object) -> list[Row]:
        """Return the rows of a query.

        Args:
            statement: With `:names` of values; a list or tuple is one for `IN`.
            values: By name.
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
        """Return the first row of a query; None where there is none."""
        return next(iter(self.rows(statement, **values)), None)

    def pairs(self, statement: str, **values: object) -> dict[str, str]:
        """Return the rows of a query for `key` and `value` as a dictionary."""
        return {row["key"]: row["value"] for row in self.rows(statement, **values)}

    def execute(self, statement: str, **values: object) -> None:
        """Execute a statement in a transaction of its own."""
        with self._calls(), self._engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement), values)

    def revisions(self) -> set[str]:
        """Return the revisions of the schema; none where MLflow has not made the tables."""
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
    """Return the database of a store; None where MLflow itself must be asked.

    That is so for an MLflow server, for kinds of databases and schemas that are not known here, for
    an empty database, and where MLflow is told to keep workspaces apart.

    Args:
        uri: Supported and absolute.

    Raises:
        TrackingUnavailableError: The database refuses the connection.
    """
    if uri_scheme(uri) not in _DIALECTS or any(map(os.environ.get, _WORKSPACE_SETTINGS)):
        return None
    waits = {"timeout": LOCK_SECONDS} if uri_scheme(uri) == "sqlite" else {}
    try:
        # no pool: nothing is left open when the command ends
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, connect_args=waits)
    except (ImportError, SQLAlchemyError):
        return None  # MLflow's room says which driver is missing
    database = Database(uri, engine)
    return database if database.revisions() & {*NEWEST_SCHEMAS.values()} else None


def chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield parts of a list: databases bound how many values a statement may have."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
