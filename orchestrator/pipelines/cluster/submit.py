"""Submit, follow, list and cancel jobs on Kubernetes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

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
from orchestrator.errors import ClusterUnavailableError, UserInputError
from orchestrator.pipelines.cluster import objects
from orchestrator.pipelines.cluster.objects import SCHEDULES, list_objects, objects_named, send
from orchestrator.pipelines.cluster.schedules import send_schedule

_OURS = f"{MANAGED_BY_LABEL}={PROGRAM}"


class SubmitListener(JobListener, Protocol):
    """Listener that receives the events of a submission and of the submitted job."""

    def submitted(self, submission: Submission, before: JobState | None) -> None:
        """Handle a job that has been sent to the cluster.

        Args:
            submission: The submission.
            before: State of the same job if it was submitted before; None if the job is new.
        """

    def scheduled(self, schedule: Manifest, replaced: str) -> None:
        """Handle a schedule that has been sent to the cluster.

        Args:
            schedule: The schedule as stored in the cluster.
            replaced: Kind of the schedule of the same name that was removed; empty if none was
                removed.
        """


@dataclass(frozen=True)
class Jobs:
    """Jobs and schedules of a namespace.

    Attributes:
        jobs: Runs, sweeps and ticks (executions of a schedule), oldest first.
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
    """Send a job and follow the job until it ends, or send a schedule without following it.

    If the same job was submitted before, follow the existing job. If the existing job has failed or
    is being cancelled, start it again.

    Args:
        submission: The job or the schedule to send.
        client: Client of the submission's namespace.
        listener: Receives the events of the job.
        tick: The tick (one execution of a schedule) that submits the job; None if a person submits
            the job. A tick has permission to create objects but not to change them, and never
            restarts a failed job.

    Raises:
        UserInputError: The cluster rejects the submission.
        TransientError: The cluster does not answer, or has too few resources.
        InterruptedRunError: Ctrl-C was pressed; the job keeps running.
    """
    if submission.job["kind"] in SCHEDULES:
        listener.scheduled(*send_schedule(submission, client))
        return None
    _check_ray_cluster(submission, client)
    found = client.get("RayJob", submission.name)
    is_going = bool(found and found["metadata"].get("deletionTimestamp"))
    before = JobState.of(found) if found and not is_going else None
    if is_going or (before and before.exit_code and tick is None):
        _forget(client, submission.name)
        found = None
    send(submission, client, client.apply if tick is None else client.create, found)
    listener.submitted(submission, before)
    return follow(client, submission.name, listener)


def prune(client: KubernetesClient, schedule: str, keep: int) -> None:
    """Delete the finished ticks of a schedule, except the last `keep` ticks. A tick is a job that
    the schedule has started.
    """
    ticks = [JobState.of(job) for job in client.find("RayJob", f"{SCHEDULE_LABEL}={schedule}")]
    finished = [tick.name for tick in ticks if tick.is_over]
    for name in finished[: max(0, len(finished) - keep)]:
        client.delete("RayJob", name)


def list_jobs(client: KubernetesClient) -> Jobs:
    """Return the jobs and schedules that this program has submitted.

    Raises:
        UserInputError: The cluster does not let this user list jobs.
        TransientError: The cluster does not answer.
    """
    jobs = [*client.find("RayJob", _OURS), *list_objects(client, "RayJob", RAY_CRON_JOB_LABEL)]
    return Jobs(
        [JobState.of(job) for job in jobs],
        [schedule for kind in SCHEDULES for schedule in list_objects(client, kind, _OURS)],
    )


def state_of(client: KubernetesClient, name: str) -> JobState | Manifest:
    """Return the state of the job with this name. If a schedule has this name, return the schedule
    itself.

    Raises:
        UserInputError: No job or schedule has this name.
        TransientError: The cluster does not answer.
    """
    found, *_ = objects_named(client, name)
    return JobState.of(found) if found["kind"] == "RayJob" else found


def cancel(client: KubernetesClient, name: str) -> tuple[list[Manifest], list[JobState]]:
    """End a job, or remove a schedule. If a CronJob and a RayCronJob have the name, remove both.
    Entries of the stage store are kept.

    Returns:
        The removed objects, and the ticks of a removed CronJob that are still running.

    Raises:
        UserInputError: No object has this name, or this program did not submit the object.
        TransientError: The cluster does not answer.
    """
    found = objects_named(client, name)
    for each in found:
        client.delete(each["kind"], name)
    # deleting a RayCronJob also ends its ticks (the jobs that it has started), but the ticks of a
    # deleted CronJob keep running
    if not any(each["kind"] == "CronJob" for each in found):
        return found, []
    ticks = [JobState.of(job) for job in client.find("RayJob", f"{SCHEDULE_LABEL}={name}")]
    return found, [tick for tick in ticks if not tick.is_over]


def _check_ray_cluster(submission: Submission, client: KubernetesClient) -> None:
    """Reject a job whose configured RayCluster is missing or not ready. KubeRay would accept such a
    job and search for the RayCluster until the job's deadline.
    """
    name = submission.job["spec"].get("clusterSelector", {}).get("ray.io/cluster")
    if name is None:
        return
    ray_cluster = client.get("RayCluster", name)
    if ray_cluster is None:
        there = (
            ", ".join(found["metadata"]["name"] for found in client.find("RayCluster")) or "none"
        )
        advice = f"the RayClusters are: {there}; omit --cluster, and the job starts its own"
        raise UserInputError(f"there is no RayCluster {name!r}", client.namespace, advice)
    state = ray_cluster.get("status", {}).get("state") or "not up yet"
    if state != "ready":
        raise ClusterUnavailableError(
            f"the RayCluster is {state}",
            f"{client.namespace}/{name}",
            "wait until `kubectl get rayclusters` says ready",
        )


def _forget(client: KubernetesClient, name: str) -> None:
    client.delete("RayJob", name)
    deadline = time.monotonic() + objects.DELETION_SECONDS
    while client.get("RayJob", name) is not None:
        if time.monotonic() > deadline:
            raise ClusterUnavailableError(
                "the previous job of this name is not deleted yet",
                name,
                f"see `kubectl describe rayjob {name}`",
            )
        time.sleep(objects.PAUSE_SECONDS)
