"""Jobs and schedules in a simulated namespace: the commands that submit them, and their state
changes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from tests.unit.cluster.simulated_api import SimulatedApi

ROOT = Path(__file__).parents[3]
DIGITS = str(ROOT / "experiments" / "digits.yaml")
RETRAIN = (
    "submit",
    "retrain",
    str(ROOT / "experiments" / "retraining_digits.yaml"),
    "--set",
    "source.path=s3://bucket/incoming",
)
RUN = ("submit", "run", DIGITS)

Command = Callable[..., "CompletedProcess[str]"]

# as KubeRay 1.7 writes it
RUNNING = {
    "jobId": "run-digits-x7k2p",
    "jobDeploymentStatus": "Running",
    "jobStatus": "RUNNING",
    "rayClusterName": "run-digits-abcde",
    "startTime": "2026-11-22T12:00:00Z",
    "failed": 0,
    "succeeded": 0,
}
SUCCEEDED = {
    **RUNNING,
    "jobDeploymentStatus": "Complete",
    "jobStatus": "SUCCEEDED",
    "endTime": "2026-11-22T12:05:00Z",
    "succeeded": 1,
}


def failed(reason: str = "AppFailed", message: str = "", job: str = "FAILED") -> dict[str, Any]:
    return {
        **RUNNING,
        "jobDeploymentStatus": "Failed",
        "jobStatus": job,
        "reason": reason,
        "message": message,
        "failed": 3,
    }


def goes_through(api: SimulatedApi, states: Sequence[dict[str, Any]]) -> None:
    """Give the namespace's job the next of these states at each request."""
    left = list(states)

    def next_state(plural: str, name: str) -> None:
        if plural == "rayjobs" and (plural, name) in api.objects:
            api.objects[plural, name]["status"] = left.pop(0) if len(left) > 1 else left[0]

    api.on_get = next_state


def pod_of(
    api: SimulatedApi, job: str, log: str, created: str = "2026-11-22T12:00:30Z", number: str = ""
) -> None:
    """Create a pod of KubeRay's submitter."""
    name, labels = f"{job}-pod{number}", {"batch.kubernetes.io/job-name": job}
    api.objects["pods", name] = {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": created}
    }
    api.logs[name] = log


def the_job(api: SimulatedApi) -> dict[str, Any]:
    [found] = [found for (plural, _), found in api.objects.items() if plural == "rayjobs"]
    return found


def name_of(command: Command, *words: str) -> str:
    *_, job = yaml.safe_load_all(command(*words, "--dry-run").stdout)
    name: str = job["metadata"]["name"]
    return name
