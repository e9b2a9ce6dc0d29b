"""Check manifests against rules of KubeRay 1.7 and Kubernetes that no schema expresses.

KubeRay accepts an object that violates these rules, but never starts the job. So the rules are
checked before a manifest is sent or printed. Each violation is reported as one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from orchestrator.cluster.cron import problem_with_cron
from orchestrator.cluster.names import (
    MAX_CRON_JOB_NAME,
    MAX_RAY_CLUSTER_NAME,
    MAX_RAY_CRON_JOB_NAME,
    MAX_RAY_JOB_NAME,
    QUEUE_LABEL,
    Manifest,
)
from orchestrator.cluster.ray_cluster_rules import grows, ray_cluster_problems
from orchestrator.errors import ConfigError

_LABEL = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
_MAX_GROUPS_OF_KUEUE = 7
_MAX_FILES_BYTES = 2**20
# Deletion policies, from the smallest deletion to the largest. A larger deletion must not be due
# before a smaller one.
_DELETION_ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")


def check(manifests: Iterable[Manifest]) -> None:
    """Check that Kubernetes and KubeRay would run the described objects.

    Raises:
        ConfigError: Kubernetes or KubeRay would not run an object. The message has one line for
            each reason.
    """
    found = [
        f"{manifest['kind']} {manifest['metadata']['name']}: {text}"
        for manifest in manifests
        for text in problems(manifest)
    ]
    if found:
        raise ConfigError("\n".join(found))


def problems(manifest: Manifest) -> list[str]:
    """Return one sentence for each rule that an object violates.

    The list is empty for kinds of objects that have no rules in this module.
    """
    rules: dict[str, Callable[[Manifest], Iterator[str]]] = {
        "RayJob": _ray_job,
        "RayCluster": _ray_cluster,
        "RayCronJob": _ray_cron_job,
        "CronJob": _cron_job,
        "ConfigMap": _config_map,
    }
    return list(rules[manifest["kind"]](manifest)) if manifest.get("kind") in rules else []


def _ray_job(manifest: Manifest) -> Iterator[str]:
    yield from _name(manifest, MAX_RAY_JOB_NAME, "KubeRay names a RayCluster after the RayJob")
    yield from _job_spec(manifest["spec"])
    if manifest["metadata"].get("labels", {}).get(QUEUE_LABEL):
        yield from _queued(manifest["spec"])


def _ray_cluster(manifest: Manifest) -> Iterator[str]:
    yield from _name(manifest, MAX_RAY_CLUSTER_NAME, "KubeRay names services after the RayCluster")
    yield from ray_cluster_problems(manifest["spec"])


def _ray_cron_job(manifest: Manifest) -> Iterator[str]:
    spec = manifest["spec"]
    yield from _name(
        manifest, MAX_RAY_CRON_JOB_NAME, "KubeRay names a RayJob after the schedule and the time"
    )
    yield from problem_with_cron(spec["schedule"])
    zone = spec.get("timeZone")
    if zone is not None and not _is_time_zone(zone):
        yield (
            f"timeZone {zone!r} is not known; write the zone as in Europe/Berlin, or omit timeZone"
        )
    yield from _job_spec(spec["jobTemplate"])
    if manifest["metadata"].get("labels", {}).get(QUEUE_LABEL):
        yield (
            f"the label {QUEUE_LABEL} does not reach the RayJobs of a RayCronJob; use"
            " schedule.kind: cron_job"
        )


def _cron_job(manifest: Manifest) -> Iterator[str]:
    spec = manifest["spec"]
    yield from _name(
        manifest, MAX_CRON_JOB_NAME, "Kubernetes names a Job after the schedule and the time"
    )
    yield from problem_with_cron(spec["schedule"])
    if spec.get("startingDeadlineSeconds", 10) < 10:
        yield (
            "startingDeadlineSeconds below 10 may keep a CronJob from ever starting: Kubernetes"
            " checks every ten seconds"
        )


def _config_map(manifest: Manifest) -> Iterator[str]:
    size = sum(len(text.encode()) for item in manifest.get("data", {}).items() for text in item)
    if size > _MAX_FILES_BYTES:
        yield (
            f"the files have {size / 2**20:.1f} MiB; Kubernetes stores at most 1 MiB in one object:"
            " omit default values"
        )


def _name(manifest: Manifest, length: int, why: str) -> Iterator[str]:
    name = manifest["metadata"]["name"]
    if len(name) > length:
        yield (
            f"the name has {len(name)} characters, more than {length}: {why}; choose a shorter name"
        )
    if not _LABEL.match(name):
        yield (
            f"the name {name!r} must start with a letter, and contain only lower-case letters,"
            " digits and hyphens"
        )


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _job_spec(spec: Manifest) -> Iterator[str]:
    yield from _deadlines(spec)
    yield from _mode(spec)
    yield from _end(spec)
    if spec.get("clusterSelector"):
        yield from _on_a_cluster_that_is_up(spec)
    elif "rayClusterSpec" not in spec:
        yield "has neither rayClusterSpec nor clusterSelector: there is nothing to run on"
    if "rayClusterSpec" in spec:
        yield from ray_cluster_problems(spec["rayClusterSpec"])
        if spec["rayClusterSpec"].get("authOptions", {}).get("enableK8sTokenAuth"):
            yield "authOptions.enableK8sTokenAuth does not work with RayJobs; omit it"
    try:
        environment = yaml.safe_load(spec.get("runtimeEnvYAML", ""))
    except yaml.YAMLError:
        environment = "no YAML"
    if not isinstance(environment, dict | None):
        yield "runtimeEnvYAML is not a YAML mapping"


def _deadlines(spec: Manifest) -> Iterator[str]:
    for name in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if name not in spec:
            yield f"{name} is missing: a job that hangs would hold its nodes for ever"
        elif spec[name] <= 0:
            yield f"{name} = {spec[name]} must be positive"
    if spec.get("backoffLimit", 0) < 0:
        yield f"backoffLimit = {spec['backoffLimit']} must not be negative"


def _mode(spec: Manifest) -> Iterator[str]:
    mode = spec.get("submissionMode", "K8sJobMode")
    if mode not in _MODES:
        yield f"submissionMode {mode!r} is not known; one of {', '.join(_MODES)}"
    if mode == "InteractiveMode" and spec.get("backoffLimit", 0) > 0:
        yield "backoffLimit cannot be combined with submissionMode InteractiveMode"
    if mode == "SidecarMode":
        for name in ("submitterPodTemplate", "submitterConfig"):
            if name in spec:
                yield f"{name} cannot be combined with submissionMode SidecarMode"
        head = (
            spec.get("rayClusterSpec", {})
            .get("headGroupSpec", {})
            .get("template", {})
            .get("spec", {})
        )
        if head.get("restartPolicy", "Never") != "Never":
            yield (
                "restartPolicy of the head must be Never, or omitted, with submissionMode"
                " SidecarMode"
            )
    if mode == "K8sJobMode":
        if spec.get("submitterConfig", {}).get("backoffLimit") != 0:
            yield (
                "submitterConfig.backoffLimit must be 0: a submitter that retries reports a failed"
                " job several times"
            )
        if "submitterPodTemplate" not in spec:
            yield (
                "submitterPodTemplate is missing: KubeRay's own pod would be refused, because it is"
                " not restricted"
            )


def _end(spec: Manifest) -> Iterator[str]:
    shuts_down, rules = (
        spec.get("shutdownAfterJobFinishes", False),
        spec.get("deletionStrategy", {}).get("deletionRules", []),
    )
    if spec.get("ttlSecondsAfterFinished", 0) < 0:
        yield f"ttlSecondsAfterFinished = {spec['ttlSecondsAfterFinished']} must not be negative"
    if spec.get("ttlSecondsAfterFinished", 0) > 0 and not shuts_down:
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes: true"
    if spec.get("suspend") and not shuts_down:
        yield "suspend needs shutdownAfterJobFinishes: true"
    if "deletionStrategy" in spec:
        yield from _deletion_strategy(spec, rules)
    if not (shuts_down or rules or spec.get("clusterSelector")):
        yield (
            "neither shutdownAfterJobFinishes nor deletionRules: the Ray cluster would stay for"
            " ever"
        )


def _deletion_strategy(spec: Manifest, rules: Sequence[Manifest]) -> Iterator[str]:
    others = {"onSuccess", "onFailure"} & set(spec["deletionStrategy"])
    if rules and spec.get("shutdownAfterJobFinishes"):
        yield "deletionRules and shutdownAfterJobFinishes exclude each other"
    if rules and others:
        yield f"deletionRules and {' and '.join(sorted(others))} exclude each other"
    if not rules and len(others) < 2:
        yield "deletionStrategy needs deletionRules, or both onSuccess and onFailure"
    ages: dict[tuple[str, str], dict[str, int]] = {}
    for number, rule in enumerate(rules):
        for problem in _deletion_rule(rule, spec, ages):
            yield f"deletionRules[{number}]: {problem}"
    for (_, end), by_policy in ages.items():
        in_order = [by_policy[policy] for policy in _DELETION_ORDER if policy in by_policy]
        if in_order != sorted(in_order):
            yield (
                f"deletionRules for {end} delete in the wrong order: workers come first, then the"
                " cluster, then the job itself"
            )


def _deletion_rule(
    rule: Manifest, spec: Manifest, ages: dict[tuple[str, str], dict[str, int]]
) -> Iterator[str]:
    """Yield each problem of one deletion rule, and add the rule's delay to `ages`.

    `ages[state][policy]` is the delay in seconds after which the job state triggers the policy.
    """
    policy, condition = rule["policy"], dict(rule["condition"])
    age = condition.pop("ttlSeconds", 0)
    if len(condition) != 1:
        yield "needs exactly one of jobStatus and jobDeploymentStatus"
        return
    if spec.get("clusterSelector") and policy in ("DeleteCluster", "DeleteWorkers"):
        yield f"{policy} cannot be combined with clusterSelector: the cluster is not the job's own"
    if policy == "DeleteWorkers" and grows(spec.get("rayClusterSpec", {})):
        yield "DeleteWorkers cannot be combined with autoscaling"
    of_this_end = ages.setdefault(next(iter(condition.items())), {})
    if policy in of_this_end:
        yield f"{policy} is listed twice for the same end of the job"
    of_this_end[policy] = age


def _on_a_cluster_that_is_up(spec: Manifest) -> Iterator[str]:
    name = spec["clusterSelector"].get("ray.io/cluster")
    if not name:
        yield "clusterSelector needs ray.io/cluster, the name of the RayCluster"
    elif not _LABEL.match(name) or len(name) > MAX_RAY_CLUSTER_NAME:
        yield f"{name!r} is not the name of a RayCluster; see `kubectl get rayclusters`"
    if "rayClusterSpec" in spec:
        yield "clusterSelector and rayClusterSpec exclude each other"
    if spec.get("suspend"):
        yield "suspend cannot be combined with clusterSelector"
    if spec.get("backoffLimit", 0) > 0:
        yield "backoffLimit cannot be combined with clusterSelector: a retry needs a new cluster"
    if spec.get("submissionMode") == "SidecarMode":
        yield "submissionMode SidecarMode cannot be combined with clusterSelector"


def _queued(spec: Manifest) -> Iterator[str]:
    if spec.get("clusterSelector"):
        yield (
            "a job on a running Ray cluster cannot wait in a queue of Kueue: omit `queue` or"
            " --cluster"
        )
        return
    if not spec.get("shutdownAfterJobFinishes"):
        yield "Kueue needs shutdownAfterJobFinishes: true; deletionRules are not enough"
    groups = spec.get("rayClusterSpec", {}).get("workerGroupSpecs", [])
    if len(groups) > _MAX_GROUPS_OF_KUEUE:
        yield f"Kueue takes {_MAX_GROUPS_OF_KUEUE} worker groups at most, the job has {len(groups)}"
