"""A cluster that fails to start is a retryable error, not a bug."""

from pathlib import Path

import pytest
from ray.exceptions import GetTimeoutError, RaySystemError

from orchestrator.config.execution import RayConfig
from orchestrator.distributed.cluster import cluster
from orchestrator.errors import ClusterUnavailableError

SLOW = (
    "The current node timed out during startup. This could happen because some of the raylet failed"
    " to startup or the GCS has become overloaded."
)


def start(error: Exception, where: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a cluster in which one step fails."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("ray.init", lambda *_, **__: None)
    monkeypatch.setattr(where, fail)
    with cluster(RayConfig(), folder / "ray.log"):
        pass


@pytest.mark.parametrize(
    "where",
    ["ray.init", "orchestrator.distributed.cluster.get_or_create_autoscaling_coordinator"],
)
@pytest.mark.parametrize("error", [Exception(SLOW), RaySystemError(SLOW), GetTimeoutError(SLOW)])
def test_a_slow_start_is_a_retryable_error(
    error: Exception, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClusterUnavailableError, match="node timed out during startup") as found:
        start(error, where, tmp_path, monkeypatch)
    assert found.value.exit_code == 3
    assert len(str(found.value).splitlines()) == 1


def test_an_error_that_is_not_rays_stays_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AttributeError, match="ours"):
        start(AttributeError("ours"), "ray.init", tmp_path, monkeypatch)
