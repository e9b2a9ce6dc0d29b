"""Check the specification of a Ray cluster against rules of KubeRay 1.7, as a part of `rules`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.cluster.names import Manifest

_TOKENS_SINCE = (2, 52)
_PRIORITY_SINCE = (2, 56)
_AUTOSCALER_V2_SINCE = (2, 47)
_V2_VARIABLE = "RAY_enable_autoscaler_v2"
_REDIS_VARIABLE = "RAY_REDIS_ADDRESS"
# fields that work only if the KubeRay operator enables the named feature gate
_BEHIND_GATES = {
    "networkPolicy": "RayClusterNetworkPolicy",
    "tlsOptions": "RayClusterMTLS",
    "historyServerOptions": "RayClusterHistoryServer",
}
_PARAMETERS_OF_RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")
_LABEL_PART = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
_LABEL_PREFIX = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")


def grows(spec: Manifest) -> bool:
    """Return whether the Ray cluster adds pods on demand."""
    return bool(spec.get("enableInTreeAutoscaling"))


def ray_cluster_problems(spec: Manifest) -> Iterator[str]:
    """Yield each problem of a Ray cluster's specification, as one sentence."""
    head, groups = spec["headGroupSpec"], spec.get("workerGroupSpecs", [])
    yield from _group(head, "headGroupSpec")
    for group in groups:
        yield from _group(group, f"worker group {group['groupName']}")
        yield from _range(group, grows(spec))
        yield from _only_with_autoscaler_v2(group, spec)
    names = [group["groupName"] for group in groups]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"several worker groups are named {name!r}; each group needs a unique name"
    yield from _authentication(spec)
    yield from _autoscaling(spec)
    yield from _features(spec)


def _group(group: Manifest, where: str) -> Iterator[str]:
    parameters = group.get("rayStartParams", {})
    if not group["template"]["spec"].get("containers"):
        yield f"{where} has no container"
    if group.get("resources") and any(name in parameters for name in _PARAMETERS_OF_RESOURCES):
        yield (
            f"{where}: resources are set in rayStartParams and next to it; KubeRay accepts only one"
            " of the two"
        )
    if "labels" in parameters:
        yield f"{where}: labels do not belong in rayStartParams, but next to it"
    for key, value in group.get("labels", {}).items():
        prefix, slash, name = key.rpartition("/")
        if (
            not name
            or not _LABEL_PART.match(name)
            or (slash and not _LABEL_PREFIX.match(prefix))
            or not _LABEL_PART.match(value)
        ):
            yield (
                f"{where}: {key}={value} is not a label of Kubernetes: letters, digits, '-', '_'"
                " and '.', at most 63"
            )


def _range(group: Manifest, is_elastic: bool) -> Iterator[str]:
    least, most = group.get("minReplicas"), group.get("maxReplicas")
    if not is_elastic and (least is None or most is None):
        yield (
            f"worker group {group['groupName']} needs minReplicas and maxReplicas without"
            " autoscaling"
        )
    for name in ("replicas", "minReplicas", "maxReplicas"):
        if group.get(name, 0) < 0:
            yield f"worker group {group['groupName']}: {name} = {group[name]} must not be negative"
    if least is not None and most is not None and least > most:
        yield (
            f"worker group {group['groupName']}: minReplicas = {least} exceeds maxReplicas = {most}"
        )


def _only_with_autoscaler_v2(group: Manifest, spec: Manifest) -> Iterator[str]:
    idle, where = group.get("idleTimeoutSeconds"), f"worker group {group['groupName']}"
    if idle is not None and idle < 0:
        yield f"{where}: idleTimeoutSeconds = {idle} must not be negative"
    if idle is not None and not _has_v2(spec):
        yield f"{where}: idleTimeoutSeconds needs autoscalerOptions.version: v2"
    if group.get("priority"):
        if _version(spec) < _PRIORITY_SINCE:
            yield f"{where}: priority needs rayVersion 2.56 or newer"
        if not _has_v2(spec):
            yield f"{where}: priority needs autoscalerOptions.version: v2"
    if group.get("suspend") and grows(spec):
        yield f"{where}: suspend cannot be combined with autoscaling"


def _authentication(spec: Manifest) -> Iterator[str]:
    options = spec.get("authOptions", {})
    if options.get("mode") != "token":
        yield (
            "authOptions.mode must be token: without it, everybody who reaches the dashboard can"
            " run anything"
        )
    elif _version(spec) < _TOKENS_SINCE:
        yield (
            "authOptions.mode token needs rayVersion 2.52 or newer, but rayVersion is"
            f" {spec.get('rayVersion') or 'not given'}"
        )


def _autoscaling(spec: Manifest) -> Iterator[str]:
    options, head = spec.get("autoscalerOptions", {}), spec["headGroupSpec"]["template"]["spec"]
    variable = _variable(head, _V2_VARIABLE)
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield (
            f"autoscalerOptions.idleTimeoutSeconds = {options['idleTimeoutSeconds']} must not be"
            " negative"
        )
    if not grows(spec):
        if variable in ("1", "true"):
            yield f"{_V2_VARIABLE} of the head needs enableInTreeAutoscaling: true"
        return
    if "securityContext" not in options:
        yield (
            "autoscalerOptions.securityContext is missing: KubeRay's own container would be"
            " refused, because it is not restricted"
        )
    if "version" in options and variable is not None:
        yield f"autoscalerOptions.version and {_V2_VARIABLE} of the head exclude each other"
    if _has_v2(spec):
        pods = {"headGroupSpec": head} | {
            group["groupName"]: group["template"]["spec"]
            for group in spec.get("workerGroupSpecs", [])
        }
        for name, pod in pods.items():
            if pod.get("restartPolicy", "Never") != "Never":
                yield f"{name}: restartPolicy must be Never, or omitted, with the autoscaler v2"


def _features(spec: Manifest) -> Iterator[str]:
    for name, gate in _BEHIND_GATES.items():
        if name in spec:
            yield f"{name} needs the feature gate {gate} of KubeRay, which is off by default"
    tolerance = spec.get("gcsFaultToleranceOptions")
    if (
        tolerance is None
        and _variable(spec["headGroupSpec"]["template"]["spec"], _REDIS_VARIABLE) is not None
    ):
        yield f"{_REDIS_VARIABLE} of the head needs gcsFaultToleranceOptions"
    if tolerance is not None and tolerance.get("backend") == "rocksdb":
        yield (
            "gcsFaultToleranceOptions.backend rocksdb needs the feature gate"
            " GCSFaultToleranceEmbeddedStorage, which is off by default"
        )


def _has_v2(spec: Manifest) -> bool:
    if not grows(spec):
        return False
    version = spec.get("autoscalerOptions", {}).get("version")
    return version == "v2" or (version is None and _version(spec) >= _AUTOSCALER_V2_SINCE)


def _version(spec: Manifest) -> tuple[int, ...]:
    numbers = re.match(r"(\d+)\.(\d+)", spec.get("rayVersion", ""))
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _variable(pod: Manifest, name: str) -> str | None:
    containers = pod.get("containers") or [{}]
    return next(
        (
            variable.get("value", "")
            for variable in containers[0].get("env", [])
            if variable["name"] == name
        ),
        None,
    )
