"""Check within seconds that a store answers, and set MLflow's environment variables, before MLflow
is imported.

Importing MLflow takes seconds. If a store does not answer, MLflow retries for minutes: 7 times for
a server, 10 times for a database.
"""

import http.client
import os
import re
import socket
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

from orchestrator.address import Address
from orchestrator.config.addresses import sqlite_path
from orchestrator.errors import TrackingUnavailableError, UserInputError
from orchestrator.masking import hide, secrets_advice, shown
from orchestrator.tracking.uris import SQLITE_ADVICE, uri_scheme

ANSWER_SECONDS = 5.0
LOCK_SECONDS = 20.0  # how long to wait for a lock of a SQLite file; MLflow waits as long
DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_REFUSED = re.compile(r"password|authentication|access denied|\brole\b", re.IGNORECASE)
_MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default, MLflow prints two lines when a run of an MLflow server ends.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # By default, MLflow shows a progress bar for each artifact that is downloaded.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Disable MLflow's 7 retries, which are up to 120 s apart and take minutes. The outbox retries
    # instead, and keeps the waiting entries.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def unavailable(uri: str, cause: object) -> TrackingUnavailableError:
    """Return the error for a store that cannot be used now, with the first line of the cause."""
    first_line = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    step = "start the store or correct tracking.uri"
    if uri_scheme(uri) in DEFAULT_PORTS and _REFUSED.search(first_line):
        step = f"set {secrets_advice(uri)}"
    return TrackingUnavailableError(
        f"the tracking store cannot be used: {hide(first_line, uri)}",
        shown(uri),
        f"{step}, then run the same command again",
    )


def check_reachable(uri: str) -> None:
    """Check that a tracking store answers, without importing MLflow.

    Args:
        uri: Supported and absolute URI of the store.

    Raises:
        TrackingUnavailableError: The store does not answer, or the database file cannot be written.
        UserInputError: The database file is not a SQLite database.
    """
    path = sqlite_path(uri)
    if path is not None:
        _check_sqlite_file(uri, path)
    elif uri_scheme(uri) in DEFAULT_PORTS:
        _check_port(uri)
    else:
        _check_server(uri)


def prepare_mlflow() -> None:
    """Set the environment variables that MLflow reads on import; keep existing values."""
    for name, value in _MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _check_sqlite_file(uri: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection:
            # BEGIN IMMEDIATE fails unless the file is a database that this process can write.
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except (sqlite3.OperationalError, OSError) as error:
        raise unavailable(uri, error) from error
    except sqlite3.DatabaseError as error:
        raise UserInputError(
            f"not a SQLite database ({error})", str(path), SQLITE_ADVICE
        ) from error


def _check_port(uri: str) -> None:
    address = urllib.parse.urlsplit(f"//{Address(uri).place}")
    port = address.port or DEFAULT_PORTS[uri_scheme(uri)]
    try:
        socket.create_connection(
            (address.hostname or "localhost", port), timeout=ANSWER_SECONDS
        ).close()
    except OSError as error:
        raise unavailable(uri, error) from error


def _check_server(uri: str) -> None:
    # urllib and MLflow's client use the same proxy settings. This check sends no user name and no
    # password. If the server rejects them, the error appears at MLflow's first call.
    address = urllib.parse.urlsplit(uri)
    bare = address._replace(
        netloc=address.netloc.rpartition("@")[2], path=f"{address.path.rstrip('/')}/health"
    )
    try:
        urllib.request.urlopen(bare.geturl(), timeout=ANSWER_SECONDS).close()  # noqa: S310 - http or https, checked
    except urllib.error.HTTPError as error:
        error.close()  # a server answers; MLflow's first call shows whether it is an MLflow server
    except (OSError, http.client.HTTPException) as error:
        if not isinstance(
            getattr(error, "reason", None), ssl.SSLError
        ):  # ignore certificate errors: MLflow may accept a certificate that urllib rejects
            raise unavailable(uri, getattr(error, "reason", error)) from error
