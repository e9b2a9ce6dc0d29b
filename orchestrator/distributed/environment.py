"""Set the environment variables that Ray reads, some of them only when it is first imported.

This module does not import ray.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from orchestrator.config.execution import RayConfig

# How long a lane's controller sleeps between two checks of its workers. Ray's default of 2 s makes
# starting and ending a lane slower; with a quarter of a second, each controller takes 3 % of a CPU
# from the learning.
_POLL_SECONDS = "0.75"


# Variable with the names of the settings that this module made instead of the user: only these may
# change for the next run of this process.
_OURS = "ORCHESTRATOR_RAY_SETTINGS"


def set_environment(execution: RayConfig) -> None:
    """Set environment variables that the user has not set. Call this before Ray is imported."""
    is_local = execution.address is None
    for name in os.environ.pop(_OURS, "").split(","):
        os.environ.pop(name, None)
    settings = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": _POLL_SECONDS,
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(execution.start_timeout_seconds),
        # This machine is never preempted, and without the watcher's process, the start is faster.
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0" if is_local else "1",
        "RAY_TRAIN_METRICS_ENABLED": "0" if is_local else "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # This program handles SIGTERM; Ray's handler would print the position in Ray's C++ code.
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
        # Otherwise a thread of an ending lane could start a cluster of its own.
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
    }  # only processes of this run know the token


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()
