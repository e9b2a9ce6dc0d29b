"""Jobs on Kubernetes: sent, followed, listed and cancelled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from orchestrator.cluster.api_errors import is_missing_kind
from orchestrator.cluster.client import KubernetesClient
from orchestrator.cluster.following import JobListener, follow
from orchestrator.cluster.job_states import JobState
from orchestrator.cluster.names import (
    MANAGED_BY_LABEL,
    PROGRAM,
    RAY_CRON_JOB_LABEL,
    SCHEDULE_LABEL,
    Manifest,
)
from orchestrator.cluster.ray_jobs import Submission
from orchestrator.cluster.ticks import Tick
from orchestrator.errors import ClusterUnavailableError, OrchestratorError, UserInputError

SCHEDULES = ("CronJob", "RayCronJob")
_OURS = f"{MANAGED_BY_LABEL}={PROGRAM}"
_DELETION_SECONDS = 180.0
_PAUSE_SECONDS = 1.0


class SubmitListener(JobListener, Protocol):
    """Receive the events of a submission as well."""

    def submitted(self, submission: Submission, before: JobState | None) -> None:
        """Receive that the job is in the cluster.

        Args:
            submission: What was sent.
            before: Its state where it was there already.
        """


@dataclass(frozen=True)
class Jobs:
    """What there is in a namespace.

    Attributes:
        jobs: Runs, sweeps and ticks, oldest first.
        schedules: CronJobs and RayCronJobs.
    """

    jobs: list[JobState]
    schedules: list[Manifest]


def submit(
    submission: Submission,
    client: KubernetesClient,
    listener: SubmitListener,
    tick: Tick | None = None,
) -> JobState | None:
    """Sends a job and follows it to its end; a schedule is only sent.

    The same job twice is one job: it is followed, wherever it stands. One that has failed, or is
    being cancelled, starts again.

    Args:
        submission: What is sent.
        client: Of its namespace.
        listener: Receives the events of the job.
        tick: Of which schedule it is a part; None for a person's. A schedule may create and not
            change, and starts nothing again.

    Raises:
        UserInputError: The cluster refuses it.
        TransientError: The cluster does not answer, or has no room for it.
        InterruptedRunError: Ctrl-C; the job goes on.
    """
    if submission.job["kind"] in SCHEDULES:
        _send(submission, client, client.apply)
        listener.submitted(submission, None)
        return None
    _check_ray_cluster(submission, client)
    found = client.get("RayJob", submission.name)
    is_going = bool(found and found["metadata"].get("deletionTimestamp"))
    before = JobState.of(found) if found and not is_going else None
    if is_going or (before and before.exit_code and tick is None):
        _forget(client, submission.name)
        found = None
    _send(submission, client, client.apply if tick is None else client.create, found)
    listener.submitted(submission, before)
    return follow(client, submission.name, listener)


def prune(client: KubernetesClient, schedule: str, keep: int) -> None:
    """Takes finished ticks of a schedule away, but for the last ones."""
    ticks = [JobState.of(job) for job in client.find("RayJob", f"{SCHEDULE_LABEL}={schedule}")]
    finished = [tick.name for tick in ticks if tick.is_over]
    for name in finished[: max(0, len(finished) - keep)]:
        client.delete("RayJob", name)


def list_jobs(client: KubernetesClient) -> Jobs:
    """What this program has submitted.

    Raises:
        UserInputError: The cluster does not show it.
        TransientError: The cluster does not answer.
    """
    jobs = [*client.find("RayJob", _OURS), *_found(client, "RayJob", RAY_CRON_JOB_LABEL)]
    return Jobs(
        [JobState.of(job) for job in jobs],
        [schedule for kind in SCHEDULES for schedule in _found(client, kind, _OURS)],
    )


def state_of(client: KubernetesClient, name: str) -> JobState | Manifest:
    """How a job stands, or a schedule.

    Raises:
        UserInputError: There is none of this name.
        TransientError: The cluster does not answer.
    """
    found = _ours(client, name)
    return JobState.of(found) if found["kind"] == "RayJob" else found


def cancel(client: KubernetesClient, name: str) -> tuple[Manifest, list[JobState]]:
    """Ends a job, or takes a schedule away; what is in the stage store stays.

    Returns:
        What it was, and, of a schedule, its ticks that go on.

    Raises:
        UserInputError: There is none of this name, or it is somebody else's.
        TransientError: The cluster does not answer.
    """
    found = _ours(client, name)
    client.delete(found["kind"], name)
    if found["kind"] != "CronJob":  # the ticks of a RayCronJob end with it
        return found, []
    ticks = [JobState.of(job) for job in client.find("RayJob", f"{SCHEDULE_LABEL}={name}")]
    return found, [tick for tick in ticks if not tick.is_over]


def _check_ray_cluster(submission: Submission, client: KubernetesClient) -> None:
    """Of a job on a Ray cluster that is up: KubeRay would look for one that is not there until the
    job's deadline.
    """
    name = submission.job["spec"].get("clusterSelector", {}).get("ray.io/cluster")
    if name is None:
        return
    ray_cluster = client.get("RayCluster", name)
    if ray_cluster is None:
        there = (
            ", ".join(found["metadata"]["name"] for found in client.find("RayCluster")) or "none"
        )
        advice = f"there are: {there}; leave --cluster out, and the job starts one of its own"
        raise UserInputError(f"there is no RayCluster {name!r}", client.namespace, advice)
    state = ray_cluster.get("status", {}).get("state") or "not up yet"
    if state != "ready":
        raise ClusterUnavailableError(
            f"the RayCluster is {state}",
            f"{client.namespace}/{name}",
            "wait until `kubectl get rayclusters` says ready",
        )


def _send(
    submission: Submission, client: KubernetesClient, send: _Send, found: Manifest | None = None
) -> None:
    """The job first: its files belong to it, and go when it goes. Pods wait for them, a moment."""
    job = found or send(submission.job)
    owner = {
        "apiVersion": submission.job["apiVersion"],
        "kind": submission.job["kind"],
        "name": submission.name,
    }
    metadata = {
        **submission.files["metadata"],
        "ownerReferences": [{**owner, "uid": job["metadata"]["uid"]}],
    }
    try:
        send({**submission.files, "metadata": metadata})
    except OrchestratorError:
        if found is None and submission.job["kind"] == "RayJob":
            client.delete(
                "RayJob", submission.name
            )  # without its files it would wait until its deadline
        raise


class _Send(Protocol):
    def __call__(self, manifest: Manifest) -> Manifest: ...


def _forget(client: KubernetesClient, name: str) -> None:
    client.delete("RayJob", name)
    deadline = time.monotonic() + _DELETION_SECONDS
    while client.get("RayJob", name) is not None:
        if time.monotonic() > deadline:
            raise ClusterUnavailableError(
                "the job of this name does not go away",
                name,
                f"see `kubectl describe rayjob {name}`",
            )
        time.sleep(_PAUSE_SECONDS)


def _found(client: KubernetesClient, kind: str, selector: str) -> list[Manifest]:
    """Objects of a kind that not every cluster has, or shows."""
    try:
        return [{"kind": kind, **item} for item in client.find(kind, selector)]
    except UserInputError as error:
        if is_missing_kind(error):
            return []
        raise


def _ours(client: KubernetesClient, name: str) -> Manifest:
    for kind in ("RayJob", *SCHEDULES):
        try:
            found = client.get(kind, name)
        except UserInputError as error:
            if kind == "RayJob" or not is_missing_kind(error):
                raise
            continue
        if found is None:
            continue
        labels = found["metadata"].get("labels", {})
        if labels.get(MANAGED_BY_LABEL) != PROGRAM and RAY_CRON_JOB_LABEL not in labels:
            raise UserInputError(
                f"{kind} {name} was not submitted by this program",
                client.namespace,
                "use kubectl for it",
            )
        return {"kind": kind, **found}
    raise UserInputError(
        f"there is no job and no schedule {name!r}",
        client.namespace,
        "`orchestrator status` lists what there is",
    )
