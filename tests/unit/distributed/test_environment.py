"""Ray's environment variables are set only if the user has not set them, and only for the run that
needs them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config.execution import RayConfig
from orchestrator.distributed.environment import set_environment

LOCAL, JOINED = (
    RayConfig(start_timeout_seconds=7),
    RayConfig(address="10.0.0.1:6379", start_timeout_seconds=9),
)
TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore every variable afterwards."""
    names = [
        TIMEOUT,
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN",
        "ORCHESTRATOR_RAY_SETTINGS",
        "RAY_TRAIN_METRICS_ENABLED",
        "RAY_ENABLE_AUTO_CONNECT",
    ]
    names += [
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    ]
    for name in [*names, "RAY_USAGE_STATS_ENABLED"]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nowhere")  # no token of this user


def setting(name: str) -> str | None:
    return os.environ.get(name)


def test_variables_set_by_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, "123")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    set_environment(LOCAL)
    assert (setting(TIMEOUT), setting("RAY_AUTH_MODE"), setting("RAY_AUTH_TOKEN")) == (
        "123",
        "disabled",
        None,
    )


def test_a_users_token_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    set_environment(LOCAL)
    assert setting("RAY_AUTH_TOKEN") == "theirs"


def test_settings_of_one_run_do_not_reach_the_next() -> None:
    set_environment(LOCAL)
    first = setting("RAY_AUTH_TOKEN")
    assert (setting(TIMEOUT), setting("RAY_AUTH_MODE")) == ("7.0", "token")
    assert first
    set_environment(JOINED)
    assert setting(TIMEOUT) == "9.0"
    set_environment(LOCAL)
    assert setting("RAY_AUTH_TOKEN") != first


def test_each_local_cluster_has_its_own_token() -> None:
    code = (
        "from orchestrator.distributed.environment import set_environment\nfrom"
        " orchestrator.config.execution import RayConfig\nimport os, sys;"
        " set_environment(RayConfig()); print(os.environ['RAY_AUTH_TOKEN'], 'ray' in sys.modules)"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert answers[0][0] != answers[1][0]
    assert [answer[1] for answer in answers] == ["False", "False"]


@pytest.mark.reliability
def test_a_process_may_use_ray_twice_if_the_user_has_no_token(tmp_path: Path) -> None:
    """Ray itself caches the first token, and would start the second cluster with none."""
    code = (
        "from pathlib import Path\nfrom orchestrator.config.execution import RayConfig\nfrom"
        " orchestrator.distributed.environment import set_environment\nimport os, sys\nfor _ in"
        " range(2):\n    set_environment(RayConfig())\n    from orchestrator.distributed.cluster"
        " import cluster\n    import ray\n    with cluster(RayConfig(), Path('ray.log')):\n       "
        " print(ray.get(ray.remote(num_cpus=0)(lambda: os.environ['RAY_AUTH_TOKEN']).remote()))\n"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "HOME": str(tmp_path),
    }
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert len(set(answer.stdout.split())) == 2
    assert not (tmp_path / ".ray").exists()
