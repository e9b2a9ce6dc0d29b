"""Define names and labels of objects in Kubernetes, and paths inside pods."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal

JobKind = Literal["run", "sweep", "retrain"]
Manifest = dict[str, Any]

PROGRAM = "continual-orchestrator"
FIELD_MANAGER = PROGRAM
RAY_API = "ray.io/v1"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
KIND_LABEL = "orchestrator/kind"
SCHEDULE_LABEL = "orchestrator/schedule"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
# Label of jobs that a RayCronJob created. KubeRay sets no other label on such jobs.
RAY_CRON_JOB_LABEL = "ray.io/cronjob-name"
# The network policies of k8s/base select pods by these labels.
USES_OBJECT_STORAGE_LABEL = "orchestrator/uses-object-storage"
USES_STUDIES_LABEL = "orchestrator/uses-studies"
USES_KUBERNETES_LABEL = "orchestrator/uses-kubernetes"

FILES_FOLDER = "/etc/orchestrator"
SCRATCH_FOLDER = "/tmp"  # noqa: S108 - in a pod, which has one user
TICK_VARIABLE = "ORCHESTRATOR_SCHEDULED_AT"
SCHEDULE_VARIABLE = "ORCHESTRATOR_SCHEDULE"

MAX_RAY_CLUSTER_NAME = 53
MAX_RAY_JOB_NAME = 47
MAX_RAY_CRON_JOB_NAME = 36
MAX_CRON_JOB_NAME = 52
_DIGITS_OF_DIGEST = 10


def digest_of(content: object) -> str:
    """Return a digest of JSON content; the order of keys does not change the digest."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[
        :_DIGITS_OF_DIGEST
    ]


def job_name(kind: JobKind, name: str, digest: str) -> str:
    """Return the name of a RayJob, such as `run-digits-0123456789`.

    The name is short enough for the RayJob and for the RayCluster that KubeRay names after it.
    """
    return f"{_shortened(f'{kind}-{slug(name)}', MAX_RAY_JOB_NAME - len(digest) - 1)}-{digest}"


def schedule_name(name: str) -> str:
    """Return the name of a schedule, such as `retrain-digits`.

    The name does not depend on the configuration, so submitting a changed retraining updates the
    existing schedule.

    If the retraining's name is too long or has characters that Kubernetes does not allow, the name
    is changed and a digest is appended. Without the digest, two retrainings could get the same
    schedule name.
    """
    whole = f"retrain-{name}"
    if slug(name) == name and len(whole) <= MAX_RAY_CRON_JOB_NAME:
        return whole
    digest = digest_of(name)
    return (
        f"{_shortened(f'retrain-{slug(name)}', MAX_RAY_CRON_JOB_NAME - len(digest) - 1)}-{digest}"
    )


def slug(name: str) -> str:
    """Return a name that a user chose, reduced to the characters that Kubernetes allows: lower case
    letters, digits and single hyphens.
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def labels_of(kind: JobKind, **more: str) -> dict[str, str]:
    """Return the labels by which people and this program find the objects of jobs and schedules."""
    return {
        "app.kubernetes.io/part-of": PROGRAM,
        MANAGED_BY_LABEL: PROGRAM,
        KIND_LABEL: kind,
        **more,
    }


def _shortened(name: str, length: int) -> str:
    return name[:length].rstrip("-")
