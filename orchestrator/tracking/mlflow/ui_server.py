"""Describe the MLflow server that `orchestrator ui` starts, and list the server's experiments."""

import os
import sys
from typing import Any

from orchestrator.tracking.local_server import LOOPBACK, LocalServer, Program
from orchestrator.tracking.uris import artifact_root


def mlflow_program(uri: str, port: int) -> Program:
    """Return the MLflow server program that shows a database's runs on web pages.

    Args:
        uri: Address of an existing database with a schema that the installed MLflow accepts.
        port: Port on which the server listens.
    """
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    return Program("the MLflow server", command, _environment(uri), "/health", uri)


def experiments_of(server: LocalServer) -> list[dict[str, Any]]:
    """Return the active experiments in the form of MLflow's REST interface, without the empty
    experiment "Default" that MLflow creates itself.
    """
    wanted = {"max_results": 1000, "filter": "name != 'Default'"}
    answer = server.ask("POST", "/api/2.0/mlflow/experiments/search", wanted)
    found: list[dict[str, Any]] = answer.get("experiments", [])
    return found


def _environment(uri: str) -> dict[str, str]:
    # Pass the URI in an environment variable, because it may contain a password, and every user of
    # the machine can see a command's arguments.
    store = {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(artifact_root(uri)),
    }
    defaults = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return defaults | dict(os.environ) | store
