"""Settings that Ray reads from the environment, some of them only when it is first imported. This module imports no ray."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from orchestrator.config.execution import RayConfig

# How long the controller sleeps between two looks at its workers: with Ray's 2 s, starting and ending a lane take seconds more.
_POLL_SECONDS = "0.25"


# Names of the settings that are ours and not the user's: the next run of this process may set them anew.
_OURS = "ORCHESTRATOR_RAY_SETTINGS"


def set_environment(execution: RayConfig) -> None:
    """Sets what the user has not set. To be called before Ray is imported."""
    is_local = execution.address is None
    settings = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": _POLL_SECONDS,
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(execution.start_timeout_seconds),
        # on this machine nobody takes nodes away, and one process less starts sooner
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0" if is_local else "1",
        "RAY_TRAIN_METRICS_ENABLED": "0" if is_local else "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # a thread of a lane that is ending must not start a cluster of its own
        "RAY_ENABLE_AUTO_CONNECT": "0",
    }
    ours = {name for name in os.environ.get(_OURS, "").split(",") if name}
    if "ray" not in sys.modules and not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & (set(os.environ) - ours):
        settings |= _token_of_this_run() if is_local else {"RAY_AUTH_MODE": "token" if _has_token() else "disabled"}
    for name, value in settings.items():
        if name in ours or name not in os.environ:
            os.environ[name] = value
            ours.add(name)
    os.environ[_OURS] = ",".join(sorted(ours))


def _token_of_this_run() -> dict[str, str]:
    """A cluster of this run alone: only its own processes know the token."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()
