"""A cluster configuration that cannot work is rejected on reading."""

from pathlib import Path

import pytest

from orchestrator.config import load_cluster
from orchestrator.config.cluster import ClusterConfig
from orchestrator.errors import ConfigError


def test_every_field_has_a_default() -> None:
    assert load_cluster(None) == ClusterConfig()
    assert load_cluster(None, "mine").namespace == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image: orchestrator", "may be a different image tomorrow"),
        ("image: orchestrator:latest", "may be a different image tomorrow"),
        ("image: registry:5000/orchestrator", "may be a different image tomorrow"),
        ("environment: {AWS_SECRET_ACCESS_KEY: x}", "looks like a secret"),
        ("environment: {LD_PRELOAD: /tmp/x.so}", "LD_PRELOAD determines which code"),
        ("environment: {LD_LIBRARY_PATH: /tmp}", "determines which code"),
        ("environment: {PYTHONPATH: /tmp}", "determines which code"),
        ("environment: {PYTHONSTARTUP: /tmp/x.py}", "determines which code"),
        ("environment: {BASH_ENV: /tmp/x}", "determines which code"),
        ("environment: {RAY_AUTH_MODE: disabled}", "determines which code"),
        ("environment: {KUBERNETES_SERVICE_HOST: example.org}", "determines which code"),
        ("environment: {'A B': x}", "environment"),
        ("environment: {'A=B': x}", "environment"),
        ("environment: {'1A': x}", "environment"),
        ("environment: {'': x}", "environment"),
        ("environment: {DATABASE: 'postgresql://me:pw@db'}", "looks like a secret"),
        (
            "tracking: {uri: 'http://me:pw@mlflow'}",
            "tracking.uri: contains a secret.*_PASSWORD",
        ),
        ("storage: {kind: object_storage, uri: /data}", "storage.uri = '/data'"),
        (
            "storage: {kind: object_storage, uri: 's3://key:pw@bucket'}",
            "secret.*_ACCESS_KEY",
        ),
        ("tracking: {uri: 'http://mlflow?token=x'}", "tracking.uri: contains a secret"),
        ("storage: {mount_path: relative}", "storage.mount_path"),
        ("sweeps: {min_trials: 3, max_trials: 2}", "swap them"),
        ("schedule: {time_zone: Mars/Olympus}", "is not a time zone"),
        ("{queue: team, schedule: {kind: ray_cron_job}}", "does not apply to the jobs"),
        ("namespace: My_Team", "namespace = 'My_Team'"),
        ("head: {memory: 6 GB}", "head.memory = '6 GB'"),
        ("workers: {tolerations: [{key: spot, operator: Maybe}]}", "operator"),
        (
            "workers: {tolerations: [{key: spot, operator: Exists, value: 'yes'}]}",
            "Exists takes no value",
        ),
        ("workers: {tolerations: [{key: spot}]}", "Equal needs key and value"),
        ("workers: {node_selector: {pool: 'two words'}}", "node_selector"),
        ("workers: {node_selector: {/pool: a}}", "node_selector"),
        ("gpu: {resource: 'two words'}", "gpu.resource = 'two words'"),
        (f"queue: {'q' * 64}", "at most 63"),
        ("limits: {max_retrys: 1}", "did you mean limits.max_retries"),
    ],
)
def test_an_impossible_value_is_rejected_with_its_path(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        load_cluster(file)
    assert str(error.value).startswith(str(file))


@pytest.mark.parametrize(
    "image",
    [
        "orchestrator:0.2.0",
        "ghcr.io/team/orchestrator:2026-11-22",
        "orchestrator@sha256:" + "0" * 64,
    ],
)
def test_an_immutable_image_is_accepted(image: str) -> None:
    assert ClusterConfig(image=image).image == image
