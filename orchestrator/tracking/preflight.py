"""Prepare for MLflow before it is imported: check the store in seconds, and set its environment.

Importing MLflow takes seconds, and if the store does not answer, MLflow retries for minutes (a
server 7 times, a database 10 times).
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
LOCK_SECONDS = 20.0  # how long to wait for a lock of the database, as MLflow does
DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_REFUSED = re.compile(r"password|authentication|access denied|\brole\b", re.IGNORECASE)
_MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Without this variable, MLflow prints two lines of its own when a run on a server ends.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Without this variable, MLflow shows a progress bar for each small file that is read back.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # No retries: MLflow's default of 7 retries, up to 120 s apart, takes minutes. The outbox
    # retries instead, and keeps the waiting entries.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def unavailable(uri: str, cause: object) -> TrackingUnavailableError:
    """Return the error for a store that cannot be used now, with the cause in one line."""
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
    """Check that the store answers, without MLflow.

    Args:
        uri: A supported, absolute URI.

    Raises:
        TrackingUnavailableError: Nothing answers, or the database file cannot be written.
        UserInputError: The file is not a SQLite database.
    """
    path = sqlite_path(uri)
    if path is not None:
        _check_sqlite_file(uri, path)
    elif uri_scheme(uri) in DEFAULT_PORTS:
        _check_port(uri)
    else:
        _check_server(uri)


def prepare_mlflow() -> None:
    """Set the environment that MLflow reads on import; existing variables take precedence."""
    for name, value in _MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _check_sqlite_file(uri: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection:
            # This statement reads the header and takes the write lock, as MLflow must do later.
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
    # urllib uses the same proxy settings as MLflow's client. Credentials are not checked here.
    address = urllib.parse.urlsplit(uri)
    bare = address._replace(
        netloc=address.netloc.rpartition("@")[2], path=f"{address.path.rstrip('/')}/health"
    )
    try:
        urllib.request.urlopen(bare.geturl(), timeout=ANSWER_SECONDS).close()  # noqa: S310 - http or https, checked
    except urllib.error.HTTPError as error:
        error.close()  # A server answers; MLflow's first call shows whether it is an MLflow server.
    except (OSError, http.client.HTTPException) as error:
        if not isinstance(
            getattr(error, "reason", None), ssl.SSLError
        ):  # MLflow may accept a certificate that urllib rejects
            raise unavailable(uri, getattr(error, "reason", error)) from error
