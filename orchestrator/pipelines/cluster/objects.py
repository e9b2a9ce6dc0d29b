"""Send and find this program's objects on Kubernetes, and reject objects of other programs."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.cluster.api_errors import is_missing_kind
from orchestrator.cluster.client import KubernetesClient
from orchestrator.cluster.names import MANAGED_BY_LABEL, PROGRAM, RAY_CRON_JOB_LABEL, Manifest
from orchestrator.cluster.ray_jobs import Submission
from orchestrator.errors import ClusterUnavailableError, OrchestratorError, UserInputError

SCHEDULES = ("CronJob", "RayCronJob")
DELETION_SECONDS = 180.0
PAUSE_SECONDS = 1.0
Send = Callable[[Manifest], Manifest]  # sends an object, and returns it as stored in the cluster


def send(
    submission: Submission, client: KubernetesClient, send_one: Send, found: Manifest | None = None
) -> Manifest:
    """Send a job or a schedule with its files; return the job or the schedule as stored in the
    cluster.

    The files are in a ConfigMap that the job owns, so deleting the job deletes its files. A
    ConfigMap can name only an existing job as its owner, so the job is sent first, and its pods
    wait until the ConfigMap exists. A ConfigMap is created and never changed, so this program needs
    no permission to change ConfigMaps.

    Args:
        submission: The job or the schedule, with its files.
        client: Client of the job's namespace.
        send_one: Function that sends the job.
        found: The existing job of this name, which is not sent again; None if there is none.
    """
    job = found or send_one(submission.job)
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
        _send_files(client, {**submission.files, "metadata": metadata})
    except OrchestratorError:
        if found is None and submission.job["kind"] == "RayJob":
            # delete the new job: without its files, the job would wait in vain until its deadline
            client.delete("RayJob", submission.name)
        raise
    return job


def _send_files(client: KubernetesClient, files: Manifest) -> None:
    """Create the ConfigMap that contains a job's files.

    The name of the ConfigMap depends on its content. If a ConfigMap of this name exists and the
    previous job owns it, wait until Kubernetes deletes the ConfigMap together with the previous
    job.

    Raises:
        UserInputError: A ConfigMap of this name has other content.
        TransientError: The ConfigMap of the previous job was not deleted in time.
    """
    [owner] = files["metadata"]["ownerReferences"]
    where = f"{client.namespace}/{files['metadata']['name']}"
    deadline = time.monotonic() + DELETION_SECONDS
    while True:
        made = client.create(files)
        if made.get("data") != files["data"]:
            raise UserInputError(
                "a ConfigMap of this name holds other files",
                where,
                "find out who created this ConfigMap",
            )
        owners = [each["uid"] for each in made["metadata"].get("ownerReferences", [])]
        if not owners or owner["uid"] in owners:
            return
        if time.monotonic() > deadline:
            raise ClusterUnavailableError(
                "the ConfigMap of the previous job is not deleted yet", where, "try again"
            )
        time.sleep(PAUSE_SECONDS)


def find_object(client: KubernetesClient, kind: str, name: str) -> Manifest | None:
    """Return the object of a kind and a name, or None.

    None means that the object is missing. For schedules, None can also mean that the cluster lacks
    the kind, or hides the kind from this user.

    Raises:
        UserInputError: The kind is RayJob, and the cluster lacks or hides this kind.
    """
    try:
        found = client.get(kind, name)
    except UserInputError as error:
        if kind == "RayJob" or not is_missing_kind(error):
            raise
        return None
    return None if found is None else {"kind": kind, **found}


def list_objects(client: KubernetesClient, kind: str, selector: str) -> list[Manifest]:
    """Return the objects of a kind that match a label selector; empty if the cluster lacks the
    kind, or hides the kind from this user.
    """
    try:
        return [{"kind": kind, **item} for item in client.find(kind, selector)]
    except UserInputError as error:
        if is_missing_kind(error):
            return []
        raise


def objects_named(client: KubernetesClient, name: str) -> list[Manifest]:
    """Return the job or the schedule of a name; return two schedules if a CronJob and a RayCronJob
    have this name.

    Raises:
        UserInputError: No object has this name, the namespace is missing, or this program did not
            create the object.
    """
    found = [
        checked_as_ours(client, each)
        for kind in ("RayJob", *SCHEDULES)
        if (each := find_object(client, kind, name))
    ]
    if not found:
        client.check_namespace()
        raise UserInputError(
            f"there is no job and no schedule {name!r}",
            client.namespace,
            "`orchestrator status` lists jobs and schedules",
        )
    return found


def checked_as_ours(client: KubernetesClient, found: Manifest) -> Manifest:
    """Return an object if this program has submitted it.

    Raises:
        UserInputError: This program did not create the object.
    """
    labels = found["metadata"].get("labels", {})
    if labels.get(MANAGED_BY_LABEL) != PROGRAM and RAY_CRON_JOB_LABEL not in labels:
        raise UserInputError(
            f"{found['kind']} {found['metadata']['name']} was not submitted by this program",
            client.namespace,
            "use kubectl for this object",
        )
    return found
