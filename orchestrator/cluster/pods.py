"""Describe pods that meet the restricted Pod Security Standard.

The pods run without root rights and privileges, and can write only to their own folders.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.cluster.names import (
    FILES_FOLDER,
    SCRATCH_FOLDER,
    USES_KUBERNETES_LABEL,
    USES_OBJECT_STORAGE_LABEL,
    USES_STUDIES_LABEL,
    Manifest,
)
from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.cluster_nodes import NodesConfig
from orchestrator.config.cluster_storage import VolumeStorageConfig

_USER = 1000  # user and group id of the image; the group may write to volumes
_MULTIPLES = {
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}

CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SCRATCH_MOUNT = {"name": "scratch", "mountPath": SCRATCH_FOLDER}


def pod_security() -> dict[str, Any]:
    """Return the security context of all containers of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        # avoid changing the owner of every file of a large volume at each start
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def number(quantity: str) -> float:
    """Return a Kubernetes quantity as a number: `500m` is 0.5, `1Ki` is 1024."""
    parts = re.fullmatch(r"([\d.]+)(\w*)", quantity)
    if parts is None:
        raise ValueError(quantity)
    return float(parts[1]) * _MULTIPLES.get(parts[2], 1.0)


def resources(cpu: str, memory: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a container's resources, with requests equal to limits.

    Ray reads the limits, and Kubernetes places pods by the requests, so requests and limits must
    agree.
    """
    amounts = {"cpu": cpu, "memory": memory, **(more or {})}
    return {"requests": dict(amounts), "limits": dict(amounts)}


def container(
    cluster: ClusterConfig,
    name: str,
    needs: dict[str, Any],
    mounts: list[dict[str, Any]],
    **more: object,
) -> dict[str, Any]:
    """Return a container that runs the cluster's image.

    Args:
        cluster: Configuration of the cluster, including the image and its environment.
        name: Name of the container within the pod.
        needs: Requests and limits, as returned by `resources`.
        mounts: Mounts in addition to the scratch folder, the only folder that is writable by
            default.
        more: Further fields of the container.
    """
    return {
        "name": name,
        "image": cluster.image,
        "imagePullPolicy": cluster.image_pull_policy,
        **more,
        "resources": needs,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [SCRATCH_MOUNT, *mounts],
    }


def environment(cluster: ClusterConfig) -> dict[str, Any]:
    """Return the environment variables of training pods: all keys of the Secrets, and the variables
    of the cluster's configuration.
    """
    variables = {"HOME": SCRATCH_FOLDER, "PYTHONUNBUFFERED": "1", **cluster.environment}
    secrets = [{"secretRef": {"name": name}} for name in cluster.secrets.names]
    return {"env": [{"name": name, "value": value} for name, value in variables.items()]} | (
        {"envFrom": secrets} if secrets else {}
    )


def pod(
    cluster: ClusterConfig,
    labels: Mapping[str, str],
    content: dict[str, Any],
    volumes: list[dict[str, Any]],
    *nodes: NodesConfig,
) -> dict[str, Any]:
    """Return a pod template.

    Args:
        cluster: Configuration of the cluster, including accounts and scratch space.
        labels: Labels of the pod.
        content: The pod's containers, and further fields of its specification.
        volumes: Volumes in addition to the scratch space.
        nodes: Rules for the nodes on which the pod may run; all of them apply.
    """
    # Allow traffic to addresses outside the cluster if the job needs them. Even if stages are on a
    # volume, images may be in a bucket, and a webhook may be outside the cluster.
    goes_out = (
        cluster.storage.kind == "object_storage"
        or cluster.secrets.object_storage
        or cluster.secrets.webhook
    )
    uses_storage = {USES_OBJECT_STORAGE_LABEL: "true"} if goes_out else {}
    uses_storage |= {USES_STUDIES_LABEL: "true"} if cluster.secrets.studies else {}
    selector = {key: value for rule in nodes for key, value in rule.node_selector.items()}
    tolerations = [
        toleration.model_dump(exclude_none=True)
        for toleration in dict.fromkeys(found for rule in nodes for found in rule.tolerations)
    ]
    spec = {
        **content,
        # Disable variables for Services: a Service called mlflow would set MLFLOW_PORT=tcp://…, and
        # MLflow would read this variable as a setting.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": cluster.scratch}}, *volumes],
        **(
            {"imagePullSecrets": [{"name": cluster.image_pull_secret}]}
            if cluster.image_pull_secret
            else {}
        ),
        **({"nodeSelector": selector} if selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
    }
    return {"metadata": {"labels": {**labels, **uses_storage}}, "spec": spec}


def without_kubernetes(account: str) -> dict[str, Any]:
    """Return the fields that deny a pod access to the Kubernetes API."""
    return {"serviceAccountName": account, "automountServiceAccountToken": False}


def with_kubernetes(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels with which the network policies allow a pod to reach the Kubernetes API."""
    return {**labels, USES_KUBERNETES_LABEL: "true"}


def files_volume(config_map: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a volume that contains the job's files, and the mount of the volume."""
    volume = {"name": "files", "configMap": {"name": config_map}}
    return volume, {"name": "files", "mountPath": FILES_FOLDER, "readOnly": True}


def ray_volumes(
    cluster: ClusterConfig, *, is_head: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the volumes and mounts of a training pod.

    Every pod has a memory volume for Ray's object store. If the stage store is on a volume, all
    pods mount this volume. Otherwise only the head mounts a volume, if one is configured.
    """
    volumes: list[dict[str, Any]] = [
        {
            "name": "shared-memory",
            "emptyDir": {"medium": "Memory", "sizeLimit": cluster.shared_memory},
        }
    ]
    mounts = [{"name": "shared-memory", "mountPath": "/dev/shm"}]  # noqa: S108 - in a pod, which has one user
    storage = cluster.storage
    if isinstance(storage, VolumeStorageConfig) or (is_head and storage.claim):
        volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": storage.claim}})
        mounts.append({"name": "store", "mountPath": storage.mount_path})
    return volumes, mounts


def object_store_bytes(cluster: ClusterConfig) -> str:
    """Return the size of Ray's object store in bytes, as a part of the pod's shared memory.

    Ray's default would be larger than the shared memory of the pod.
    """
    return str(math.floor(0.9 * number(cluster.shared_memory)))


def config_map(
    name: str, namespace: str, labels: Mapping[str, str], files: Mapping[str, str]
) -> Manifest:
    """Return an immutable ConfigMap with the files of a job.

    The name depends on the content of the files, so changed files get another ConfigMap.
    """
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "immutable": True,
        "data": dict(files),
    }
