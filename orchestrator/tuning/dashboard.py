"""Start Optuna's dashboard, which shows the studies of running sweeps, and find the page of a sweep
in the dashboard.
"""

import contextlib
import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.addresses import sqlite_path
from orchestrator.errors import UserInputError
from orchestrator.tracking.local_server import LOOPBACK, LocalServer, Program, local_server

INSTALL = "in a checkout: pip install '.[dashboard]'"
_LEAST_ID_LETTERS = 4
# Python code that runs Optuna's own command by its entry point, because the command may not be on
# the PATH.
_START = (
    "from importlib.metadata import entry_points;"
    "[it] = entry_points(group='console_scripts', name='optuna-dashboard');"
    "it.load()()"
)


def is_installed() -> bool:
    """Return whether the optional extra `dashboard` is installed."""
    return importlib.util.find_spec("optuna_dashboard") is not None


def require_installed() -> None:
    """Check that the dashboard is installed.

    Raises:
        UserInputError: The dashboard is not installed.
    """
    if not is_installed():
        raise UserInputError("the dashboard of sweeps is not installed", next_step=INSTALL)


def has_studies(storage: str) -> bool:
    """Return whether a storage may have studies: False for a SQLite file that does not exist."""
    path = sqlite_path(storage)
    return path is None or (path.is_file() and path.stat().st_size > 0)


@contextlib.contextmanager
def dashboard_server(storage: str, port: int) -> Iterator[LocalServer]:
    """Start the dashboard, wait until it answers, and end it afterwards.

    Args:
        storage: An Optuna storage, with an absolute path if it is a file.
        port: Port to listen on.

    Raises:
        TrackingUnavailableError: The dashboard does not answer, possibly because the storage is
            unavailable.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The settings go into a file that only this user can read, because the storage's address
        # may contain a password.
        settings = {"storage": storage, "host": LOOPBACK, "port": port, "server": "wsgiref"}
        path = Path(folder) / "dashboard.toml"
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        path.write_text("\n".join(["[optuna_dashboard]", *lines, ""]), encoding="utf-8")
        command = [sys.executable, "-c", _START, "--from-config", str(path)]
        program = Program("Optuna's dashboard", command, dict(os.environ), "/api/meta", storage)
        with local_server(program, port) as server:
            yield server


def studies_of(server: LocalServer) -> list[dict[str, Any]]:
    """Return the studies of the dashboard's storage, each with `study_id` and `study_name`."""
    studies: list[dict[str, Any]] = server.ask("GET", "/api/studies")["study_summaries"]
    return studies


def study_path(studies: Sequence[Mapping[str, Any]], sweep_id: str) -> str:
    """Return the path of a sweep's page in the dashboard.

    Args:
        studies: Studies from `studies_of`.
        sweep_id: Id of the sweep, or the id's first characters (at least four).

    Raises:
        UserInputError: No study matches, or several do.
    """
    found = [study for study in studies if _is_named(study, sweep_id)]
    names = ", ".join(study["study_name"] for study in (found or studies)[:5]) or "none"
    if not found:
        raise UserInputError(
            f"there is no study of the sweep {sweep_id}", next_step=f"choose from: {names}"
        )
    if len(found) > 1:
        raise UserInputError(
            f"several studies begin with {sweep_id}: {names}", next_step="give more letters"
        )
    return f"/dashboard/studies/{found[0]['study_id']}"


def _is_named(study: Mapping[str, Any], sweep_id: str) -> bool:
    words = re.split(r"[^0-9A-Za-z]+", study["study_name"])
    is_word = len(sweep_id) >= _LEAST_ID_LETTERS and any(
        word.startswith(sweep_id) for word in words
    )
    return is_word or study["study_name"] == sweep_id
