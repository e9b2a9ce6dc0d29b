"""Determine when a tick was due, from the name of the tick's job.

A tick is one scheduled run of `orchestrator retrain`. Kubernetes does not tell a CronJob's pod when
the tick was due: the annotation `cronjob-scheduled-timestamp` is set on the Job, not on the Job's
pods. But the Job is named `NAME-MINUTES`, with the due time in minutes since 1970. The RayJob of a
RayCronJob is named in the same way. Pods have the name of their job as a label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.errors import UserInputError

# KubeRay names a RayCluster after its RayJob and appends five letters or digits
_JOB_OF_A_SCHEDULE = re.compile(r"^(?P<schedule>[a-z0-9-]+?)-(?P<minutes>\d{8})(-[a-z0-9]{5})?$")


@dataclass(frozen=True)
class Tick:
    """One scheduled run of `orchestrator retrain`.

    Attributes:
        schedule: Name of the schedule; empty if only the time is known.
        due: Time at which the run was due.
    """

    schedule: str
    due: datetime


def tick_of(text: str) -> Tick:
    """Return the tick (one scheduled run) with the due time that a text contains.

    Args:
        text: A time (2026-11-22T03:00:00Z), or the name of a schedule's job or of the job's
            RayCluster, which contains the due time.

    Raises:
        UserInputError: The text is neither a time nor such a name.
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
    """Return the tick (one scheduled run) that a schedule's pod runs.

    A person can create a job from a schedule with `kubectl create job manual --from=cronjob/NAME`.
    Such a job can have any name, and counts as due now.

    Args:
        job: Name of the pod's job, or a time.
        schedule: Name of the job's schedule; empty if unknown.

    Raises:
        UserInputError: The schedule is unknown, and the job's name contains no time.
    """
    found = _JOB_OF_A_SCHEDULE.match(job)
    if schedule and (found is None or found["schedule"] != schedule):
        return Tick(schedule, datetime.now(UTC))
    return tick_of(job)
