"""Set the environment variables that configure Ray.

Ray reads some of the variables only when the module `ray` is first imported. So this module does
not import `ray`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from orchestrator.config.execution import RayConfig

# How long the controller of a lane sleeps between two checks of the lane's workers. With Ray's
# default of 2 s, a lane starts and ends more slowly. With a quarter of a second, each controller
# takes 3 % of a CPU from the training.
_POLL_SECONDS = "0.75"


# Environment variable that lists the variables that this module, and not the user, has set. For the
# next run of the same process, this module may change only these variables.
_OURS = "ORCHESTRATOR_RAY_SETTINGS"


def set_environment(execution: RayConfig) -> None:
    """Set Ray's environment variables, except variables that the user has set. Call this function
    before Ray is imported.
    """
    is_local = execution.address is None
    for name in os.environ.pop(_OURS, "").split(","):
        os.environ.pop(name, None)
    settings = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": _POLL_SECONDS,
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(execution.start_timeout_seconds),
        # The preemption watcher is a process that slows down the start of a lane. A cluster on this
        # machine needs no watcher, because this machine is never preempted.
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0" if is_local else "1",
        "RAY_TRAIN_METRICS_ENABLED": "0" if is_local else "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # This program has its own SIGTERM handler; Ray's handler would print a C++ stack trace.
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
        # With auto-connect, a thread of a lane that is ending could start another cluster.
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
    }  # a random token, which only the processes of this run receive


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()
