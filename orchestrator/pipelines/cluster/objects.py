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
    """Send a job or schedule with its files; return it as stored in the cluster.

    The job is sent first: it owns its files, so deleting the job deletes the files. The job's pods
    wait a moment for the files. Files are created and never changed, so no right to change a
    ConfigMap is needed.

    Args:
        submission: The submission.
        client: Client of the job's namespace.
        send_one: Function that sends the job.
        found: The existing job of this name; None if there is none.
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
            # without its files, the job would wait in vain until its deadline
            client.delete("RayJob", submission.name)
        raise
    return job


def _send_files(client: KubernetesClient, files: Manifest) -> None:
    """Create a ConfigMap, whose name depends on its content. If the ConfigMap of this name still
    belongs to the previous job, wait until it is deleted together with that job.

    Raises:
        UserInputError: A ConfigMap of this name has other content.
        TransientError: The ConfigMap of the previous job is still not deleted.
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
    """Return an object; None if the object is missing, or if the cluster lacks or hides its
    kind.
    """
    try:
        found = client.get(kind, name)
    except UserInputError as error:
        if kind == "RayJob" or not is_missing_kind(error):
            raise
        return None
    return None if found is None else {"kind": kind, **found}


def list_objects(client: KubernetesClient, kind: str, selector: str) -> list[Manifest]:
    """Return the objects of a kind; empty if the cluster lacks or hides the kind."""
    try:
        return [{"kind": kind, **item} for item in client.find(kind, selector)]
    except UserInputError as error:
        if is_missing_kind(error):
            return []
        raise


def objects_named(client: KubernetesClient, name: str) -> list[Manifest]:
    """Return the job or the schedule that has a name; return two schedules if both kinds exist.

    Raises:
        UserInputError: The object or the namespace is missing, or this program did not create the
            object.
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
