"""Settings that Ray reads from the environment, some of them only when it is first imported.

This module does not import ray.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from orchestrator.config.execution import RayConfig

# How long the controller sleeps between two checks of its workers. Ray's 2 s make starting and
# ending a lane slower; with a quarter of a second each controller takes 3 % of a CPU from the
# learning.
_POLL_SECONDS = "0.75"


# Names of the settings made here and not by the user: the next run of this process may change
# them.
_OURS = "ORCHESTRATOR_RAY_SETTINGS"


def set_environment(execution: RayConfig) -> None:
    """Set variables that the user has not set. Call it before Ray is imported."""
    is_local = execution.address is None
    for name in os.environ.pop(_OURS, "").split(","):
        os.environ.pop(name, None)
    settings = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": _POLL_SECONDS,
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(execution.start_timeout_seconds),
        # this machine is never preempted, and one process less starts sooner
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0" if is_local else "1",
        "RAY_TRAIN_METRICS_ENABLED": "0" if is_local else "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # we handle SIGTERM; Ray would print the position in its C++ code
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
        # a thread of an ending lane must not start a cluster of its own
        "RAY_ENABLE_AUTO_CONNECT": "0",
    }
    if "RAY_AUTH_MODE" not in os.environ:
        settings |= _authentication(is_local)
    ours = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ |= {**ours, _OURS: ",".join(ours)}


def _authentication(is_local: bool) -> dict[str, str]:
    if _has_token():
        return {"RAY_AUTH_MODE": "token"}
    if not is_local:
        return {"RAY_AUTH_MODE": "disabled"}
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }  # known only to this run's own processes


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()
