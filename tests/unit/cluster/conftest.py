"""Everything that `submit` can render, by name."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.ray_jobs import Submission
from orchestrator.cluster.submissions import Request, render
from orchestrator.cluster.ticks import tick_of
from orchestrator.config.cluster import ClusterConfig
from tests.unit.cluster.simulated_api import SimulatedApi, simulated_api

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "experiments" / "digits.yaml"
RETRAINING = ROOT / "experiments" / "retraining_digits.yaml"
SPACE = ROOT / "search_spaces" / "smoke.yaml"

BUCKET: dict[str, Any] = {
    "storage": {
        "kind": "object_storage",
        "uri": "s3://bucket/stages?endpoint_override=minio:9000&scheme=http",
    },
    "secrets": {"object_storage": "bucket-credentials", "webhook": "webhook-url"},
    "image": "ghcr.io/example/orchestrator@sha256:" + "0" * 64,
    "image_pull_secret": "registry",
    "environment": {"AWS_REGION": "eu-central-1"},
    "tracking": {"uri": "http://mlflow:5000", "ui_url": "https://mlflow.example.org"},
    "workers": {
        "node_selector": {"pool": "workers"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    },
}
IN_THE_BUCKET, ON_THE_VOLUME = (
    "source.path=s3://bucket/incoming",
    "source.path=/var/lib/orchestrator/store/incoming",
)
LARGE = (
    "execution.teacher.num_gpus_per_worker=0.5",
    "execution.teacher.num_cpus_per_worker=4",
    "execution.student.num_train_workers=[1,3]",
)

# the request, and the cluster
_CASES: dict[str, tuple[Request, dict[str, Any]]] = {
    "run": (Request("run", [DIGITS]), {}),
    "run with GPUs, growing": (Request("run", [DIGITS], LARGE), BUCKET),
    "run in a queue": (Request("run", [DIGITS]), {"queue": "team"}),
    "run on a cluster that is up": (Request("run", [DIGITS], ray_cluster="shared"), {}),
    "sweep": (Request("sweep", [SPACE, DIGITS]), {}),
    "sweep with lanes": (Request("sweep", [SPACE, DIGITS], LARGE), BUCKET),
    "retraining": (Request("retrain", [RETRAINING], [ON_THE_VOLUME]), {}),
    "tick": (
        Request("retrain", [RETRAINING], [IN_THE_BUCKET], tick=tick_of("retrain-digits-29384756")),
        BUCKET,
    ),
    "schedule": (Request("retrain", [RETRAINING], [ON_THE_VOLUME], cron="0 3 * * *"), {}),
    "schedule by KubeRay": (
        Request("retrain", [RETRAINING], [IN_THE_BUCKET], cron="@daily"),
        BUCKET | {"schedule": {"kind": "ray_cron_job"}},
    ),
}


@cache
def rendered(case: str) -> Submission:
    """Render one of the cases; the result is shared and must not be changed."""
    request, cluster = _CASES[case]
    return render(request, ClusterConfig.model_validate(cluster))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the argument `submission` once for each case."""
    if "submission" in metafunc.fixturenames:
        metafunc.parametrize("submission", [rendered(case) for case in _CASES], ids=list(_CASES))


@pytest.fixture
def case() -> Callable[[str], Submission]:
    """Return a function that gives a case by its name."""
    return rendered


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedApi]:
    """Return a simulated API server, which the test's commands use."""
    with simulated_api(tmp_path) as (server, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setattr("orchestrator.cluster.following._PAUSE_SECONDS", 0.01)
        monkeypatch.setattr("orchestrator.pipelines.cluster.objects.PAUSE_SECONDS", 0.01)
        yield server
