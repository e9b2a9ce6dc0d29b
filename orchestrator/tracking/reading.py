"""Open readers and model registries of tracking stores; reject wrong addresses without MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.addresses import absolute_tracking_uri, sqlite_path
from orchestrator.errors import UserInputError
from orchestrator.tracking.preflight import check_reachable, prepare_mlflow
from orchestrator.tracking.record_lister import RecordLister
from orchestrator.tracking.run_reader import RunReader
from orchestrator.tracking.uris import require_supported

if TYPE_CHECKING:
    from orchestrator.tracking.mlflow.model_reader import ModelReader
    from orchestrator.tracking.mlflow.run_registration import RunRegistrar
    from orchestrator.tracking.registry import ModelRegistry
    from orchestrator.tracking.run_query import Records

_NAME_STORE = "name the store of the runs: --tracking-uri, or the variable MLFLOW_TRACKING_URI"


def open_reader(uri: str) -> RunReader:
    """Return a read-only reader that finds runs in a tracking store.

    Args:
        uri: `sqlite:///FILE`, the http(s) address of an MLflow server, or the URI of a database
            server.

    Raises:
        UserInputError: The URI is invalid, the database does not exist, or the installed MLflow
            cannot use the database's schema.
        TrackingUnavailableError: The store does not answer within seconds.
    """
    return RunReader(_records(_existing(uri)))


def open_model_reader(uri: str) -> ModelReader:
    """Return a reader of runs and trained models; for argument and errors see `open_reader`."""
    uri = _existing(uri)
    from orchestrator.tracking.mlflow.model_reader import ModelReader  # noqa: PLC0415

    return ModelReader(uri)


def open_registrar(uri: str) -> RunRegistrar:
    """Return an object that registers the models of runs; for errors see `open_reader`."""
    uri = _existing(uri)
    from orchestrator.tracking.mlflow.run_registration import RunRegistrar  # noqa: PLC0415

    return RunRegistrar(uri)


def open_lister(uri: str) -> RecordLister:
    """Return a lister of runs and model versions; for argument and errors see `open_reader`."""
    return RecordLister(_records(_existing(uri)))


def open_registry(uri: str, name: str) -> ModelRegistry:
    """Return the model registry of a tracking store; create the schema of an empty database.

    Args:
        uri: Address of the store, as for `open_reader`.
        name: Common part of the model names, which are NAME-teacher and NAME-student.

    Raises:
        UserInputError: The URI is invalid, or the installed MLflow cannot use the database's
            schema.
        TrackingUnavailableError: The store does not answer within seconds.
    """
    require_supported(uri)
    uri = absolute_tracking_uri(uri, Path.cwd())
    check_reachable(uri)
    prepare_mlflow()
    return _registry(uri, name)


def open_existing_registry(uri: str, name: str) -> ModelRegistry:
    """Return the model registry of a tracking store; unlike `open_registry`, create no database.

    Raises:
        UserInputError: The URI is invalid, the database does not exist, or the installed MLflow
            cannot use the database's schema.
        TrackingUnavailableError: The store does not answer within seconds.
    """
    uri = _existing(
        uri, "check experiment.tracking.uri; the first `orchestrator retrain` creates the database"
    )
    return _registry(uri, name)


def existing_store(uri: str, advice: str = _NAME_STORE) -> str:
    """Return the absolute address of a store.

    A SQLite database file must exist. A server is not checked, and may be down.

    Args:
        uri: Address of the store, as for `open_reader`.
        advice: Next step for the error message if the database file does not exist.

    Raises:
        UserInputError: The URI is invalid, or the database file does not exist.
    """
    require_supported(uri)
    uri = absolute_tracking_uri(uri, Path.cwd())
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise UserInputError("there is no tracking database", str(path), advice)
    return uri


def _existing(uri: str, advice: str = _NAME_STORE) -> str:
    """Return the absolute address of a store, and check that the store exists and answers."""
    uri = existing_store(uri, advice)
    check_reachable(uri)
    prepare_mlflow()
    return uri


def _records(uri: str) -> Records:
    """Return access to a store's records: in SQL for a database with a known schema, otherwise
    through MLflow.
    """
    from orchestrator.tracking.sql.database import open_database  # noqa: PLC0415 - SQLAlchemy takes 0.2 s

    def mlflow_records() -> Records:
        from orchestrator.tracking.mlflow.records import MlflowRecords  # noqa: PLC0415 - takes seconds

        return MlflowRecords(uri)

    database = open_database(uri)
    if database is None:
        return mlflow_records()
    from orchestrator.tracking.sql.records import DatabaseRecords  # noqa: PLC0415 - as above

    return DatabaseRecords(database, mlflow_records)


def _registry(uri: str, name: str) -> ModelRegistry:
    """Return access to a store's model registry: in SQL for a database with a known schema,
    otherwise through MLflow.
    """
    from orchestrator.tracking.sql.database import open_database  # noqa: PLC0415

    def mlflow_registry() -> ModelRegistry:
        from orchestrator.tracking.mlflow.registry import MlflowRegistry  # noqa: PLC0415

        return MlflowRegistry(uri, name)

    database = open_database(uri)
    if database is None:
        return mlflow_registry()
    from orchestrator.tracking.sql.registry import DatabaseRegistry  # noqa: PLC0415

    return DatabaseRegistry(database, name, mlflow_registry)
