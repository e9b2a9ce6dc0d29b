"""Send a schedule to Kubernetes, and remove a schedule of the other kind (CronJob or RayCronJob)
that has the same name.
"""

from __future__ import annotations

from orchestrator.cluster.client import KubernetesClient
from orchestrator.cluster.names import Manifest
from orchestrator.cluster.ray_jobs import Submission
from orchestrator.errors import OrchestratorError
from orchestrator.pipelines.cluster.objects import SCHEDULES, checked_as_ours, find_object, send


def send_schedule(submission: Submission, client: KubernetesClient) -> tuple[Manifest, str]:
    """Create or change a schedule. If a schedule of the other kind (CronJob or RayCronJob) has the
    same name, remove that schedule, because both schedules would start ticks.

    Returns:
        The schedule as stored in the cluster, and the kind of the removed schedule. The kind is
        empty if no schedule was removed.

    Raises:
        UserInputError: The cluster rejects the schedule, or this program did not create the
            schedule to remove.
        TransientError: The cluster does not answer.
    """
    kind, name = submission.job["kind"], submission.name
    [other] = (schedule for schedule in SCHEDULES if schedule != kind)
    before = find_object(client, other, name)
    if before is not None:
        checked_as_ours(client, before)
    schedule = send(submission, client, client.apply)
    if before is None:
        return schedule, ""
    try:
        client.delete(other, name)
    except OrchestratorError as error:
        advice = f"both start ticks now: `kubectl delete {other.lower()} {name}`"
        raise type(error)(
            f"the {kind} was created, but the earlier {other} cannot be removed ({error.what})",
            error.where,
            advice,
        ) from None
    return schedule, other
