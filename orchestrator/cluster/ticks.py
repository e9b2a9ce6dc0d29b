"""When a tick of a schedule was due, by the name that Kubernetes has given its job.

Kubernetes tells a pod of a CronJob neither its moment nor the CronJob (the annotation
`cronjob-scheduled-timestamp` stands on the Job and not on its pods). But the Job is called
`NAME-MINUTES`, in minutes since 1970, and so is the RayJob of a RayCronJob; pods carry these names
as labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.errors import UserInputError

# a RayCluster is called as its RayJob, with five letters more
_JOB_OF_A_SCHEDULE = re.compile(r"^(?P<schedule>[a-z0-9-]+?)-(?P<minutes>\d{8})(-[a-z0-9]{5})?$")


@dataclass(frozen=True)
class Tick:
    """One moment of a schedule.

    Attributes:
        schedule: Its name; empty where only the moment is known.
        due: When the schedule wanted it.
    """

    schedule: str
    due: datetime


def tick_of(text: str) -> Tick:
    """The tick that a time (2026-11-22T03:00:00Z), or the name of a schedule's job, means.

    Raises:
        UserInputError: It is neither.
    """
    if job := _JOB_OF_A_SCHEDULE.match(text):
        return Tick(job["schedule"], datetime.fromtimestamp(60 * int(job["minutes"]), UTC))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserInputError(
            f"--scheduled-at {text!r} is no time", next_step="write it as 2026-11-22T03:00:00Z"
        ) from None
    return Tick("", moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def tick_of_job(job: str, schedule: str) -> Tick:
    """Return the tick of a schedule's pod.

    A job that a person makes of the schedule (`kubectl create job manual --from=cronjob/NAME`) has
    any name, and is due now.

    Args:
        job: The pod's job, or a time.
        schedule: The schedule that it is a part of; empty where the pod was not told.

    Raises:
        UserInputError: There is no schedule, and the job's name says no moment.
    """
    found = _JOB_OF_A_SCHEDULE.match(job)
    if schedule and (found is None or found["schedule"] != schedule):
        return Tick(schedule, datetime.now(UTC))
    return tick_of(job)
