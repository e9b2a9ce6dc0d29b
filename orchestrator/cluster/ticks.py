"""Determine when a tick of a schedule was due, from the name of its job in Kubernetes.

A pod of a CronJob learns from Kubernetes neither the CronJob nor the time at which the tick was due
(the annotation `cronjob-scheduled-timestamp` is on the Job and not on its pods). But the Job is
called `NAME-MINUTES`, in minutes since 1970, and so is the RayJob of a RayCronJob; pods have these
names as labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.errors import UserInputError

# a RayCluster has the name of its RayJob and five more letters
_JOB_OF_A_SCHEDULE = re.compile(r"^(?P<schedule>[a-z0-9-]+?)-(?P<minutes>\d{8})(-[a-z0-9]{5})?$")


@dataclass(frozen=True)
class Tick:
    """One tick of a schedule.

    Attributes:
        schedule: Name of the schedule; empty if only the time is known.
        due: Time at which the tick was due.
    """

    schedule: str
    due: datetime


def tick_of(text: str) -> Tick:
    """Return the tick for a time (2026-11-22T03:00:00Z), or for the name of a schedule's job.

    Raises:
        UserInputError: The text is neither.
    """
    if job := _JOB_OF_A_SCHEDULE.match(text):
        return Tick(job["schedule"], datetime.fromtimestamp(60 * int(job["minutes"]), UTC))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserInputError(
            f"--scheduled-at {text!r} is not a time",
            next_step="write the time as 2026-11-22T03:00:00Z",
        ) from None
    return Tick("", moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def tick_of_job(job: str, schedule: str) -> Tick:
    """Return the tick that a schedule's pod runs.

    A job that a person creates from the schedule (`kubectl create job manual --from=cronjob/NAME`)
    can have any name, and is due now.

    Args:
        job: The pod's job, or a time.
        schedule: Schedule of the job; empty if the pod does not know it.

    Raises:
        UserInputError: There is no schedule, and the job's name contains no time.
    """
    found = _JOB_OF_A_SCHEDULE.match(job)
    if schedule and (found is None or found["schedule"] != schedule):
        return Tick(schedule, datetime.now(UTC))
    return tick_of(job)
