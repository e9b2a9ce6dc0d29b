"""Run the ticks of a retraining (runs of `orchestrator retrain`) on a schedule on Kubernetes.

There are two kinds of schedule: a CronJob with a small pod that submits one RayJob for each tick,
or a RayCronJob of KubeRay.
"""

from __future__ import annotations

from typing import Any

import yaml

from orchestrator.cluster.names import (
    FILES_FOLDER,
    RAY_API,
    SCHEDULE_LABEL,
    SCHEDULE_VARIABLE,
    SCRATCH_FOLDER,
    TICK_VARIABLE,
    Manifest,
    digest_of,
    labels_of,
    schedule_name,
)
from orchestrator.cluster.pods import (
    config_map,
    container,
    files_volume,
    pod,
    resources,
    with_kubernetes,
)
from orchestrator.cluster.ray_jobs import Submission, job_spec
from orchestrator.cluster.workloads import CLUSTER_FILE, RETRAINING_FILE, Workload
from orchestrator.config.cluster import ClusterConfig


def schedule(workload: Workload, cluster: ClusterConfig, cron: str) -> Submission:
    """Return the objects that run a retraining on a schedule.

    Args:
        workload: Command and files of one tick (one scheduled run of `orchestrator retrain`).
        cluster: Configuration of the cluster, including the kind of schedule.
        cron: Times of the ticks, in cron notation.
    """
    name = schedule_name(workload.name)
    labels = labels_of("retrain", **{SCHEDULE_LABEL: name})
    texts = dict(workload.files)
    if cluster.schedule.kind == "cron_job":  # the CronJob's pod reads this file to submit jobs
        texts[CLUSTER_FILE] = yaml.safe_dump(cluster.model_dump(mode="json"), sort_keys=False)
    files = config_map(f"{name}-{digest_of(texts)}", cluster.namespace, labels, texts)
    make = _cron_job if cluster.schedule.kind == "cron_job" else _ray_cron_job
    job = make(workload, cluster, cron, files["metadata"]["name"], labels)
    return Submission(
        name,
        {**job, "metadata": {"name": name, "namespace": cluster.namespace, "labels": labels}},
        files,
    )


def _cron_job(
    workload: Workload, cluster: ClusterConfig, cron: str, files: str, labels: dict[str, str]
) -> Manifest:
    del workload  # unused: the CronJob's pod reads the workload from its mounted files
    limits = cluster.limits
    job = {
        "backoffLimit": 0,  # no retry, because the next scheduled run repeats the work
        # The Job that the CronJob creates waits until its RayJob ends. Meanwhile it blocks the next
        # scheduled run, which starts late or is skipped. The deadline limits this wait.
        "activeDeadlineSeconds": (limits.running_seconds + limits.ttl_seconds)
        * (limits.max_retries + 1),
        "template": _submitting_pod(cluster, files, labels),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "spec": {
            "schedule": cron,
            "timeZone": cluster.schedule.time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": cluster.schedule.starting_deadline_seconds,
            "successfulJobsHistoryLimit": cluster.schedule.keep_finished,
            "failedJobsHistoryLimit": cluster.schedule.keep_finished,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
        },
    }


def _submitting_pod(cluster: ClusterConfig, files: str, labels: dict[str, str]) -> dict[str, Any]:
    volume, mount = files_volume(files)
    command = [
        "orchestrator",
        "submit",
        "retrain",
        f"{FILES_FOLDER}/{RETRAINING_FILE}",
        "--cluster-config",
        f"{FILES_FOLDER}/{CLUSTER_FILE}",
    ]
    submitter = container(
        cluster,
        "submit",
        resources(cluster.schedule.cpu, cluster.schedule.memory),
        [mount],
        command=command,
        # `submit` reads the time at which the run was due from these variables; see
        # `cluster.ticks`.
        env=[
            {"name": "HOME", "value": SCRATCH_FOLDER},
            _from_label(TICK_VARIABLE, "batch.kubernetes.io/job-name"),
            {"name": SCHEDULE_VARIABLE, "value": labels[SCHEDULE_LABEL]},
        ],
    )
    account = {
        "serviceAccountName": cluster.scheduler_account,
        "automountServiceAccountToken": True,
    }
    content = {"containers": [submitter], "restartPolicy": "Never", **account}
    return pod(cluster, with_kubernetes(labels), content, [volume], cluster.head)


def _ray_cron_job(
    workload: Workload, cluster: ClusterConfig, cron: str, files: str, labels: dict[str, str]
) -> Manifest:
    tick = [_from_label(TICK_VARIABLE, "ray.io/cluster")]
    template = {
        **job_spec(workload, cluster, files, labels, tick),
        "deletionStrategy": {"deletionRules": _deletion_rules(cluster)},
    }
    spec = {"schedule": cron, "timeZone": cluster.schedule.time_zone, "jobTemplate": template}
    return {"apiVersion": RAY_API, "kind": "RayCronJob", "spec": spec}


def _deletion_rules(cluster: ClusterConfig) -> list[dict[str, Any]]:
    """Return the rules by which KubeRay deletes the ended jobs of a RayCronJob.

    A RayCronJob itself deletes nothing. By these rules, KubeRay deletes each job's Ray cluster
    first, and the job later.
    """
    ends: list[dict[str, Any]] = [
        {"jobStatus": "SUCCEEDED"},
        {"jobStatus": "FAILED"},
        {"jobDeploymentStatus": "Failed"},
    ]
    cluster_seconds = cluster.limits.ttl_seconds
    ages = {
        "DeleteCluster": cluster_seconds,
        "DeleteSelf": max(cluster_seconds, cluster.schedule.keep_finished_seconds),
    }
    return [
        {"policy": policy, "condition": {**end, "ttlSeconds": age}}
        for policy, age in ages.items()
        for end in ends
    ]


def _from_label(variable: str, label: str) -> dict[str, Any]:
    return {
        "name": variable,
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}},
    }
