"""Describe a job as KubeRay's RayJob: Ray cluster, command, deadlines and retries.

A job starts its own Ray cluster or uses a running one.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import yaml

from orchestrator.cluster.names import (
    FILES_FOLDER,
    QUEUE_LABEL,
    RAY_API,
    SCHEDULE_LABEL,
    TICK_VARIABLE,
    Manifest,
    digest_of,
    job_name,
    labels_of,
)
from orchestrator.cluster.pods import (
    CONTAINER_SECURITY,
    SCRATCH_MOUNT,
    config_map,
    container,
    environment,
    files_volume,
    object_store_bytes,
    pod,
    ray_volumes,
    resources,
    with_kubernetes,
    without_kubernetes,
)
from orchestrator.cluster.sizing import WorkerGroup
from orchestrator.cluster.ticks import Tick
from orchestrator.cluster.workloads import Workload
from orchestrator.config.cluster import ClusterConfig

_AUTOSCALER = resources("500m", "512Mi")
# Time that a cancelled run has to set its state in MLflow to KILLED, before Ray stops it and,
# later, Kubernetes stops the pod.
_ENDING_SECONDS = 15
_SUBMITTER = resources("500m", "1Gi")  # enough CPU and memory for `ray job submit`


@dataclass(frozen=True)
class Submission:
    """The Kubernetes objects of one job or schedule.

    Attributes:
        name: Name of the RayJob or of the schedule object.
        job: The RayJob or the schedule object.
        files: The ConfigMap with the job's files.
    """

    name: str
    job: Manifest
    files: Manifest

    @property
    def manifests(self) -> list[Manifest]:
        """Return the objects in the order in which `kubectl apply` should create them."""
        return [self.files, self.job]


def ray_job(
    workload: Workload,
    cluster: ClusterConfig,
    ray_cluster: str | None = None,
    tick: Tick | None = None,
) -> Submission:
    """Return the Kubernetes objects for running a workload (command and files) as a RayJob.

    The RayJob's name contains a digest of the job's content, so submitting the same job twice
    creates only one RayJob.

    Args:
        workload: The workload to run.
        cluster: Configuration of the cluster, including deadlines, retries and clean-up.
        ray_cluster: Name of a running RayCluster; None starts a cluster for the job.
        tick: The scheduled time for which the job runs; None for a job submitted by a person.
    """
    labels = labels_of(
        workload.kind, **({SCHEDULE_LABEL: tick.schedule} if tick and tick.schedule else {})
    )
    variables = (
        [{"name": TICK_VARIABLE, "value": tick.due.astimezone(UTC).isoformat()}] if tick else []
    )

    def spec(files: str) -> dict[str, Any]:
        if ray_cluster is not None:
            return _job_on(ray_cluster, workload, cluster, files, labels)
        return {**job_spec(workload, cluster, files, labels, variables), **_cleared_away(cluster)}

    name = job_name(workload.kind, workload.name, digest_of([dict(workload.files), spec("")]))
    queue = {QUEUE_LABEL: cluster.queue} if cluster.queue else {}
    metadata = {"name": name, "namespace": cluster.namespace, "labels": {**labels, **queue}}
    job = {"apiVersion": RAY_API, "kind": "RayJob", "metadata": metadata, "spec": spec(name)}
    return Submission(name, job, config_map(name, cluster.namespace, labels, workload.files))


def job_spec(
    workload: Workload,
    cluster: ClusterConfig,
    files: str,
    labels: Mapping[str, str],
    variables: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the specification of a RayJob with its own Ray cluster, without clean-up rules.

    Args:
        workload: The workload to run.
        cluster: Configuration of the cluster.
        files: Name of the ConfigMap with the job's files.
        labels: Labels of the job's pods.
        variables: Further environment variables of the command.
    """
    return {
        **_attempt(workload.command(FILES_FOLDER), cluster),
        "backoffLimit": cluster.limits.max_retries,
        "submitterPodTemplate": _submitter(cluster, labels),
        "rayClusterSpec": _ray_cluster(workload, cluster, files, labels, variables),
    }


def _attempt(command: list[str], cluster: ClusterConfig) -> dict[str, Any]:
    return {
        "entrypoint": shlex.join(command),
        "submissionMode": "K8sJobMode",
        "activeDeadlineSeconds": cluster.limits.running_seconds,
        "preRunningDeadlineSeconds": cluster.limits.starting_seconds,
        # Only the RayJob retries: a retrying submitter would follow or repeat a failed job.
        "submitterConfig": {"backoffLimit": 0},
    }


def _cleared_away(cluster: ClusterConfig) -> dict[str, Any]:
    return {"shutdownAfterJobFinishes": True, "ttlSecondsAfterFinished": cluster.limits.ttl_seconds}


def _job_on(
    ray_cluster: str,
    workload: Workload,
    cluster: ClusterConfig,
    files: str,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """Return the specification of a RayJob on a running Ray cluster.

    The job's files cannot be mounted into running pods. So the submitter pod, which passes the
    command to Ray, uploads the files as Ray's working directory.
    """
    volume, mount = files_volume(files)
    return {
        **_attempt(workload.command(""), cluster),
        "clusterSelector": {"ray.io/cluster": ray_cluster},
        "runtimeEnvYAML": yaml.safe_dump({"working_dir": FILES_FOLDER}),
        "submitterPodTemplate": _submitter(cluster, labels, [volume], [mount]),
    }


def _submitter(
    cluster: ClusterConfig,
    labels: Mapping[str, str],
    volumes: list[dict[str, Any]] | None = None,
    mounts: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the pod that passes the command to Ray and prints the command's output.

    This pod replaces KubeRay's default submitter pod, which the restricted Pod Security Standard
    would reject.
    """
    home = [{"name": "HOME", "value": SCRATCH_MOUNT["mountPath"]}]
    submitter = container(cluster, "ray-job-submitter", _SUBMITTER, mounts or [], env=home)
    content = {
        "containers": [submitter],
        "restartPolicy": "Never",
        **without_kubernetes(cluster.service_account),
    }
    return pod(cluster, labels, content, volumes or [], cluster.head)


def _ray_cluster(
    workload: Workload,
    cluster: ClusterConfig,
    files: str,
    labels: Mapping[str, str],
    variables: list[dict[str, Any]],
) -> dict[str, Any]:
    workers = workload.workers
    return {
        "rayVersion": cluster.ray_version,
        "authOptions": {"mode": "token"},  # without this mode, KubeRay disables authentication
        **(
            {"enableInTreeAutoscaling": True, "autoscalerOptions": _autoscaler(cluster)}
            if workers.is_elastic
            else {}
        ),
        "headGroupSpec": _head(cluster, files, labels, variables, is_elastic=workers.is_elastic),
        "workerGroupSpecs": [_worker_group(group, cluster, labels) for group in workers.groups],
    }


def _autoscaler(cluster: ClusterConfig) -> dict[str, Any]:
    return {
        "version": "v2",
        "idleTimeoutSeconds": cluster.sweeps.idle_seconds,
        "upscalingMode": "Default",
        "resources": _AUTOSCALER,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [SCRATCH_MOUNT],
        "env": [{"name": "HOME", "value": SCRATCH_MOUNT["mountPath"]}],
    }


def _head(
    cluster: ClusterConfig,
    files: str,
    labels: Mapping[str, str],
    variables: list[dict[str, Any]],
    *,
    is_elastic: bool,
) -> dict[str, Any]:
    volume, mount = files_volume(files)
    volumes, mounts = ray_volumes(cluster, is_head=True)
    surroundings, ending = (
        environment(cluster),
        {"name": "RAY_JOB_STOP_WAIT_TIME_S", "value": str(_ENDING_SECONDS)},
    )
    head = container(
        cluster,
        "ray-head",
        resources(cluster.head.cpu, cluster.head.memory),
        [mount, *mounts],
        **{**surroundings, "env": [*surroundings["env"], ending, *variables]},
        lifecycle={"preStop": {"exec": {"command": ["sleep", str(_ENDING_SECONDS)]}}},
        ports=[
            {"name": "gcs-server", "containerPort": 6379},
            {"name": "dashboard", "containerPort": 8265},
        ],
    )
    # The autoscaler in the head's pod uses the Kubernetes API. KubeRay creates an account for the
    # autoscaler, with only the necessary rights.
    account = {} if is_elastic else without_kubernetes(cluster.service_account)
    content = {
        "containers": [head],
        "terminationGracePeriodSeconds": 3 * _ENDING_SECONDS,
        **account,
    }
    template = pod(
        cluster,
        with_kubernetes(labels) if is_elastic else labels,
        content,
        [volume, *volumes],
        cluster.head,
    )
    # the head pod offers no CPUs to Ray, so Ray trains on the worker pods
    parameters = {
        "dashboard-host": "0.0.0.0",  # noqa: S104 - in a pod
        "num-cpus": "0",
        "object-store-memory": object_store_bytes(cluster),
    }
    return {"rayStartParams": parameters, "template": template}


def _worker_group(
    group: WorkerGroup, cluster: ClusterConfig, labels: Mapping[str, str]
) -> dict[str, Any]:
    volumes, mounts = ray_volumes(cluster, is_head=False)
    gpus = {cluster.gpu.resource: str(group.gpus)} if group.gpus else {}
    worker = container(
        cluster,
        "ray-worker",
        resources(f"{group.cpus:g}", cluster.workers.memory, gpus),
        mounts,
        **environment(cluster),
    )
    nodes = (cluster.workers, cluster.gpu) if group.gpus else (cluster.workers,)
    content = {"containers": [worker], **without_kubernetes(cluster.service_account)}
    return {
        "groupName": group.name,
        "replicas": group.min_pods,
        "minReplicas": group.min_pods,
        "maxReplicas": group.max_pods,
        "rayStartParams": {"object-store-memory": object_store_bytes(cluster)},
        **({"labels": dict(group.labels)} if group.labels else {}),
        **(
            {"resources": {name: f"{amount:g}" for name, amount in group.resources.items()}}
            if group.resources
            else {}
        ),
        "template": pod(cluster, labels, content, volumes, *nodes),
    }
