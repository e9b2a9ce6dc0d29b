"""Describe the MLflow server that shows runs on this machine, and request its experiments."""

import os
import sys
from typing import Any

from orchestrator.tracking.local_server import LOOPBACK, LocalServer, Program
from orchestrator.tracking.uris import artifact_root


def mlflow_program(uri: str, port: int) -> Program:
    """Return the program that shows a database.

    Args:
        uri: Address of an existing database with a schema that the installed MLflow accepts.
        port: Port to listen on.
    """
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    return Program("the MLflow server", command, _environment(uri), "/health", uri)


def experiments_of(server: LocalServer) -> list[dict[str, Any]]:
    """Return the active experiments as MLflow's REST interface gives them, except for the empty one
    that MLflow creates itself.
    """
    wanted = {"max_results": 1000, "filter": "name != 'Default'"}
    answer = server.ask("POST", "/api/2.0/mlflow/experiments/search", wanted)
    found: list[dict[str, Any]] = answer.get("experiments", [])
    return found


def _environment(uri: str) -> dict[str, str]:
    # The URI may contain a password, and every user of the machine can see a command's arguments.
    store = {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(artifact_root(uri)),
    }
    defaults = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return defaults | dict(os.environ) | store
