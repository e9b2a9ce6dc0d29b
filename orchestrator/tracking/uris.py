"""Check the URI of a tracking store, and derive addresses of MLflow's pages from the URI, without
importing MLflow.
"""

import shlex
import urllib.parse
from pathlib import Path

from orchestrator.address import Address
from orchestrator.config.addresses import sqlite_path
from orchestrator.errors import UserInputError
from orchestrator.masking import hide, shown

DATABASE_SERVER_SCHEMES = ("postgresql", "mysql", "mssql")
SERVER_SCHEMES = ("http", "https")
LOCAL_UI_URL = "http://127.0.0.1:5000"
SQLITE_ADVICE = "use sqlite:///mlflow.db, or the http(s) address of an MLflow server"


def uri_scheme(uri: str) -> str:
    """Return a URI's scheme, such as `postgresql` of `postgresql+psycopg2://…`; "" for a path."""
    scheme, separator, _ = uri.partition(":")
    return scheme.partition("+")[0].lower() if separator else ""


def require_supported(uri: str) -> None:
    """Raise `UserInputError` for a URI that is not the address of a supported tracking store."""
    scheme = uri_scheme(uri)
    if scheme in ("", "file"):
        what = f"{_shown(uri)!r} is a file store, which MLflow has retired"
        raise UserInputError(
            what, "tracking.uri", f"{SQLITE_ADVICE} (old runs: mlflow migrate-filestore)"
        )
    if scheme not in ("sqlite", *DATABASE_SERVER_SCHEMES, *SERVER_SCHEMES):
        raise UserInputError(
            f"{_shown(uri)!r} has an unsupported scheme", "tracking.uri", SQLITE_ADVICE
        )
    try:
        _ = urllib.parse.urlsplit(f"//{Address(Address(uri).without_placeholders()).place}").port
    except ValueError as error:
        raise UserInputError(
            f"{shown(uri)!r} is not an address ({hide(error, uri)})", "tracking.uri", SQLITE_ADVICE
        ) from None
    if scheme == "sqlite" and sqlite_path(uri) is None:
        raise UserInputError(
            f"{shown(uri)!r} names no database file", "tracking.uri", SQLITE_ADVICE
        )


def artifact_root(uri: str) -> Path | None:
    """Return the absolute folder for the artifacts of a new experiment; None if the store is an
    MLflow server, which chooses the location itself.

    MLflow's default, `mlruns` in the current directory, would depend on the current directory.
    """
    if uri_scheme(uri) in SERVER_SCHEMES:
        return None
    path = sqlite_path(uri)
    return (path.parent if path else Path()).absolute() / "mlartifacts"


def ui_command(uri: str, experiment_id: str = "") -> str:
    """Return the command that shows runs; for an MLflow server, the address of the runs' page."""
    if uri_scheme(uri) in SERVER_SCHEMES:
        return experiment_url(uri, experiment_id)
    found_unasked = sqlite_path(uri) == Path.cwd() / "mlflow.db"
    return shlex.join(
        [
            "orchestrator",
            "ui",
            *([] if found_unasked else ["--tracking-uri", shown(uri)]),
        ]
    )


def experiment_url(uri: str, experiment_id: str = "") -> str:
    """Return the address of an experiment's page or, without an id, of the list of experiments.

    The page is on the MLflow server or, for any other store, on the server that `orchestrator ui`
    starts.
    """
    server = _server(uri) or LOCAL_UI_URL
    return f"{server}/#/experiments" + (f"/{experiment_id}" if experiment_id else "")


def run_url(uri: str, run_id: str) -> str:
    """Return the address of a run's page on an MLflow server; empty for any other store."""
    server = _server(uri)
    return f"{server}/#/runs/{urllib.parse.quote(run_id, safe='')}" if server and run_id else ""


def run_page(uri: str, run_id: str) -> str:
    """Return the address of a run's page.

    The page is on the MLflow server or, for any other store, on the server that `orchestrator ui`
    starts.
    """
    return run_url(uri if _server(uri) else LOCAL_UI_URL, run_id)


def version_url(uri: str, model: str, version: int) -> str:
    """Return the address of a model version's page on an MLflow server; empty for any other
    store.
    """
    server = _server(uri)
    name = urllib.parse.quote(model, safe="")
    return f"{server}/#/models/{name}/versions/{version}" if server else ""


def _server(uri: str) -> str:
    """Return a server's address without user information and query; empty for any other store."""
    if uri_scheme(uri) not in SERVER_SCHEMES:
        return ""
    address = Address(uri)
    bare = address.shown if address.is_unclear else f"{address.scheme}://{address.place}"
    return bare.rstrip("/")


def _shown(uri: str) -> str:
    """Mask the secrets in an unsupported URI, which may have no scheme."""
    if "://" in uri or not {*"@?"} & {*uri}:
        return shown(uri)
    return shown(f"missing://{uri}").removeprefix("missing://")
