"""Likely mistakes in an object are found: each case is a valid object with one change, and the
expected message.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.cluster.ray_jobs import Submission
from orchestrator.cluster.rules import check
from orchestrator.errors import ConfigError
from tests.kubernetes_objects import has_ray_schemas, validate

pytestmark = pytest.mark.skipif(
    not has_ray_schemas(), reason="KubeRay's definitions are not here (../shared/kuberay-crds)"
)

GONE = object()
SPEC = "spec"
RAY = "spec.rayClusterSpec"
HEAD = f"{RAY}.headGroupSpec.template.spec"
HEAD_BOX = f"{HEAD}.containers.0"
GROUP = f"{RAY}.workerGroupSpecs.0"
SUBMITTER = "spec.submitterPodTemplate.spec.containers.0"
CRON_POD = "spec.jobTemplate.spec.template.spec"
RULES = "spec.jobTemplate.deletionStrategy.deletionRules"
SECRET_VALUE = {"name": "MLFLOW_TRACKING_PASSWORD", "value": "hunter2"}

# case, path, new value, expected message
MUTATIONS: list[tuple[str, str, object, str]] = [
    # fields: misspelt, of a wrong type, missing
    ("run", f"{SPEC}.entryPoint", "orchestrator run", "entryPoint"),
    ("run", f"{SPEC}.activeDeadlineSecond", 5, "activeDeadlineSecond"),
    ("run", f"{SPEC}.backoffLimit", "two", "is not of type 'integer'"),
    ("run", f"{SPEC}.ttlSecondsAfterFinished", 2**31, "int32"),
    ("run", f"{SPEC}.submissionMode", "K8SJobMode", "'K8SJobMode' is not known"),
    ("run", f"{RAY}.headGroupSpec", GONE, "headGroupSpec"),
    ("run", f"{GROUP}.groupName", GONE, "groupName"),
    ("run", f"{GROUP}.template.spec.container", [], "container"),
    ("run", f"{HEAD_BOX}.volumeMount", [], "volumeMount"),
    ("run", f"{HEAD_BOX}.resources.limit", {}, "limit"),
    ("run", f"{HEAD_BOX}.env.0.val", "x", "val"),
    ("run", f"{HEAD}.securityContext.runAsUser", "nobody", "is not of type 'integer'"),
    ("schedule", f"{SPEC}.scheduled", "0 3 * * *", "scheduled"),
    ("schedule", f"{SPEC}.schedule", GONE, "schedule"),
    ("schedule", f"{SPEC}.concurrencyPolicy", 5, "concurrencyPolicy"),
    ("schedule", f"{CRON_POD}.serviceAcountName", "x", "serviceAcountName"),
    ("run", "kind", "RayJop", "no kind of KubeRay"),
    ("schedule", "apiVersion", "batch/v1beta1", "schema"),
    ("run", "metadata.name", GONE, "name is missing"),
    # pods that are not restricted
    ("run", f"{HEAD_BOX}.securityContext.privileged", True, "is privileged"),
    (
        "run",
        f"{HEAD_BOX}.securityContext.allowPrivilegeEscalation",
        GONE,
        "allowPrivilegeEscalation",
    ),
    ("run", f"{SUBMITTER}.securityContext", GONE, "capabilities.drop"),
    (
        "run",
        f"{SUBMITTER}.securityContext.capabilities",
        {"drop": ["NET_RAW"]},
        "capabilities.drop",
    ),
    ("run", f"{SUBMITTER}.securityContext.capabilities.add", ["SYS_ADMIN"], "capabilities.add"),
    ("run", f"{HEAD}.securityContext.runAsNonRoot", GONE, "runAsNonRoot"),
    ("run", f"{HEAD}.securityContext.runAsUser", 0, "runAsUser must not be 0"),
    ("run", f"{HEAD}.securityContext.seccompProfile", {"type": "Unconfined"}, "seccompProfile"),
    ("run", f"{HEAD}.hostNetwork", True, "hostNetwork"),
    ("run", f"{HEAD}.hostPID", True, "hostPID"),
    ("run", f"{HEAD}.volumes.0", {"name": "scratch", "hostPath": {"path": "/"}}, "hostPath"),
    ("run", f"{HEAD_BOX}.ports.0.hostPort", 6379, "hostPort"),
    ("run", f"{HEAD_BOX}.securityContext.procMount", "Unmasked", "procMount"),
    ("run", f"{HEAD_BOX}.securityContext.readOnlyRootFilesystem", False, "readOnlyRootFilesystem"),
    ("run", f"{HEAD}.securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}], "sysctl"),
    (
        "sweep",
        f"{RAY}.autoscalerOptions.securityContext.allowPrivilegeEscalation",
        True,
        "autoscalerOptions: allowPrivilegeEscalation",
    ),
    (
        "schedule",
        f"{CRON_POD}.containers.0.securityContext.capabilities",
        GONE,
        "capabilities.drop",
    ),
    # resources, volumes, images, secrets
    ("run", f"{HEAD_BOX}.resources.limits.memory", GONE, "limits.memory is missing"),
    ("schedule", f"{CRON_POD}.containers.0.resources", GONE, "requests.cpu is missing"),
    ("run", f"{HEAD_BOX}.resources.requests.cpu", "two", "is no quantity"),
    ("run", f"{HEAD}.volumes", [], "has no volume"),
    ("run", f"{HEAD_BOX}.image", "continual-orchestrator:latest", "is not pinned"),
    ("run", f"{HEAD_BOX}.image", "registry:5000/continual-orchestrator", "is not pinned"),
    ("run", f"{HEAD_BOX}.env.0", SECRET_VALUE, "MLFLOW_TRACKING_PASSWORD"),
    ("run", f"{HEAD_BOX}.env.0.value", "postgresql://mlflow:hunter2@db/mlflow", "password in it"),
    (
        "run",
        f"{SPEC}.entrypoint",
        "orchestrator run x --set tracking.uri=http://me:hunter2@mlflow",
        "password in it",
    ),
    # errors that no schema can find
    ("run", "metadata.name", "r" * 48, "more than 47"),
    ("run", "metadata.name", "1-run", "must start with a letter"),
    ("schedule by KubeRay", "metadata.name", "r" * 37, "more than 36"),
    ("schedule", "metadata.name", "r" * 53, "more than 52"),
    ("run", f"{SPEC}.activeDeadlineSeconds", GONE, "activeDeadlineSeconds is missing"),
    ("run", f"{SPEC}.preRunningDeadlineSeconds", 0, "less than the minimum"),
    ("run", f"{SPEC}.backoffLimit", -1, "must not be negative"),
    ("run", f"{SPEC}.submitterConfig", GONE, "submitterConfig.backoffLimit must be 0"),
    ("run", f"{SPEC}.submitterPodTemplate", GONE, "submitterPodTemplate is missing"),
    ("run", f"{SPEC}.shutdownAfterJobFinishes", False, "ttlSecondsAfterFinished needs"),
    ("run", f"{SPEC}.ttlSecondsAfterFinished", -1, "must not be negative"),
    (
        "run",
        f"{SPEC}.deletionStrategy",
        {"deletionRules": [{"policy": "DeleteSelf", "condition": {"jobStatus": "FAILED"}}]},
        "exclude each other",
    ),
    (
        "run",
        f"{SPEC}.submissionMode",
        "InteractiveMode",
        "cannot be combined with submissionMode InteractiveMode",
    ),
    (
        "run",
        f"{SPEC}.submissionMode",
        "SidecarMode",
        "submitterPodTemplate cannot be combined with",
    ),
    ("run", f"{SPEC}.runtimeEnvYAML", "- a list", "not a YAML mapping"),
    ("run", f"{SPEC}.runtimeEnvYAML", "a: [", "not a YAML mapping"),
    ("run", f"{RAY}.authOptions", {}, "authOptions.mode must be token"),
    ("run", f"{RAY}.authOptions.mode", "disabled", "authOptions.mode must be token"),
    ("run", f"{RAY}.authOptions.enableK8sTokenAuth", True, "does not work with RayJobs"),
    ("run", f"{RAY}.rayVersion", GONE, "needs rayVersion 2.52"),
    ("run", f"{RAY}.rayVersion", "2.51.0", "needs rayVersion 2.52"),
    ("run", f"{GROUP}.minReplicas", GONE, "'minReplicas' is a required property"),
    ("run", f"{GROUP}.maxReplicas", 1, "exceeds maxReplicas"),
    ("run", f"{GROUP}.replicas", -1, "must not be negative"),
    ("run", f"{GROUP}.idleTimeoutSeconds", 60, "needs autoscalerOptions.version"),
    ("run", f"{GROUP}.priority", 2, "needs autoscalerOptions.version"),
    ("run", f"{GROUP}.labels", {"lane": "a lane"}, "is not a label"),
    (
        "run",
        f"{GROUP}.rayStartParams.labels",
        "lane=teacher",
        "labels do not belong in rayStartParams",
    ),
    ("run", f"{RAY}.headGroupSpec.resources", {"CPU": "0"}, "KubeRay accepts only one"),
    ("run", f"{RAY}.networkPolicy", {}, "feature gate RayClusterNetworkPolicy"),
    ("run", f"{RAY}.gcsFaultToleranceOptions", {"backend": "rocksdb"}, "feature gate"),
    (
        "run",
        f"{HEAD_BOX}.env.0",
        {"name": "RAY_REDIS_ADDRESS", "value": "redis"},
        "needs gcsFaultToleranceOptions",
    ),
    (
        "run",
        f"{HEAD_BOX}.env.0",
        {"name": "RAY_enable_autoscaler_v2", "value": "true"},
        "needs enableInTreeAutoscaling",
    ),
    (
        "sweep",
        f"{HEAD_BOX}.env.0",
        {"name": "RAY_enable_autoscaler_v2", "value": "true"},
        "exclude each other",
    ),
    ("sweep", f"{HEAD}.restartPolicy", "Always", "restartPolicy must be Never"),
    ("sweep", f"{GROUP}.template.spec.restartPolicy", "OnFailure", "restartPolicy must be Never"),
    ("sweep", f"{GROUP}.suspend", True, "suspend cannot be combined with autoscaling"),
    ("sweep", f"{RAY}.autoscalerOptions.securityContext", GONE, "securityContext is missing"),
    ("sweep", f"{RAY}.autoscalerOptions.idleTimeoutSeconds", -1, "must not be negative"),
    (
        "run on a cluster that is up",
        f"{SPEC}.backoffLimit",
        1,
        "backoffLimit cannot be combined with clusterSelector",
    ),
    (
        "run on a cluster that is up",
        f"{SPEC}.suspend",
        True,
        "suspend cannot be combined with clusterSelector",
    ),
    (
        "run on a cluster that is up",
        f"{SPEC}.clusterSelector",
        {"ray.io/cluster": ""},
        "the name of the RayCluster",
    ),
    ("run on a cluster that is up", f"{SPEC}.clusterSelector", GONE, "nothing to run on"),
    (
        "run on a cluster that is up",
        "metadata.labels.kueue\\.x-k8s\\.io/queue-name",
        "team",
        "cannot wait in a queue",
    ),
    (
        "run in a queue",
        f"{SPEC}.shutdownAfterJobFinishes",
        GONE,
        "Kueue needs shutdownAfterJobFinishes",
    ),
    (
        "schedule by KubeRay",
        "metadata.labels.kueue\\.x-k8s\\.io/queue-name",
        "team",
        "does not reach the RayJobs",
    ),
    ("schedule by KubeRay", f"{SPEC}.timeZone", "Mars/Olympus", "is not known"),
    ("schedule by KubeRay", f"{SPEC}.schedule", "CRON_TZ=UTC 0 3 * * *", "names a time zone"),
    ("schedule by KubeRay", f"{SPEC}.concurrencyPolicy", "Forbid", "concurrencyPolicy"),
    ("schedule by KubeRay", f"{RULES}.0.policy", "DeleteWorker", "is not one of"),
    ("schedule by KubeRay", f"{RULES}.0.condition.jobDeploymentStatus", "Failed", "exactly one of"),
    ("schedule by KubeRay", f"{RULES}.0.condition.ttlSeconds", 10**6, "in the wrong order"),
    (
        "schedule by KubeRay",
        f"{RULES}.1.condition.jobStatus",
        "SUCCEEDED",
        "twice for the same end",
    ),
    ("schedule by KubeRay", "spec.jobTemplate.deletionStrategy", GONE, "would stay for ever"),
    ("schedule", f"{SPEC}.startingDeadlineSeconds", 5, "startingDeadlineSeconds below 10"),
    ("schedule", f"{SPEC}.schedule", "every night", "has 2 fields"),
]


def changed(manifest: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with another value, or none, at a path in which a backslash escapes the dots of
    a key.
    """
    copied = copy.deepcopy(manifest)
    *parents, last = (part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path))
    node: Any = copied
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    key: Any = int(last) if isinstance(node, list) else last
    if value is GONE:
        del node[key]
    else:
        node[key] = value
    return copied


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    MUTATIONS,
    ids=[f"{name}: {path} {said}" for name, path, _, said in MUTATIONS],
)
def test_a_mistake_is_found(
    name: str, path: str, value: object, said: str, case: Callable[[str], Submission]
) -> None:
    valid = case(name).job
    assert validate([valid]) == []
    problems = validate([changed(valid, path, value)])
    assert any(re.search(said, problem) for problem in problems), problems


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        (
            "schedule by KubeRay",
            {
                f"{RULES}.0.policy": "DeleteWorkers",
                "spec.jobTemplate.rayClusterSpec.enableInTreeAutoscaling": True,
            },
            "DeleteWorkers cannot be combined with autoscaling",
        ),
        (
            "run on a cluster that is up",
            {
                f"{SPEC}.deletionStrategy": {
                    "deletionRules": [
                        {"policy": "DeleteCluster", "condition": {"jobStatus": "FAILED"}}
                    ]
                },
            },
            "the cluster is not the job's own",
        ),
        (
            "sweep",
            {f"{RAY}.autoscalerOptions.version": "v1", f"{GROUP}.priority": 3},
            "priority needs autoscalerOptions.version: v2",
        ),
        (
            "sweep",
            {f"{RAY}.rayVersion": "2.55.0", f"{GROUP}.priority": 3},
            "priority needs rayVersion 2.56",
        ),
        (
            "run",
            {
                f"{SPEC}.submissionMode": "SidecarMode",
                f"{HEAD}.restartPolicy": "Always",
                f"{SPEC}.submitterPodTemplate": GONE,
            },
            "restartPolicy of the head must be Never",
        ),
        (
            "run",
            {
                f"{SPEC}.shutdownAfterJobFinishes": GONE,
                f"{SPEC}.ttlSecondsAfterFinished": GONE,
                f"{SPEC}.deletionStrategy": {},
            },
            "needs deletionRules, or both",
        ),
        (
            "run",
            {f"{SPEC}.shutdownAfterJobFinishes": GONE, f"{SPEC}.suspend": True},
            "suspend needs shutdownAfterJobFinishes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_of_several_fields_is_found(
    name: str, changes: dict[str, object], said: str, case: Callable[[str], Submission]
) -> None:
    manifest = case(name).job
    for path, value in changes.items():
        manifest = changed(manifest, path, value)
    assert any(said in problem for problem in validate([manifest])), validate([manifest])


def test_there_are_enough_mistakes() -> None:
    assert len(MUTATIONS) >= 50


def test_rules_are_checked_before_anything_is_sent_and_each_violation_is_one_line(
    case: Callable[[str], Submission],
) -> None:
    broken = changed(
        changed(case("run").job, f"{RAY}.rayVersion", "2.51.0"), f"{SPEC}.backoffLimit", -1
    )
    with pytest.raises(ConfigError) as error:
        check([broken])
    assert len(str(error.value).splitlines()) == 2
    assert all(
        line.startswith(f"RayJob {case('run').name}: ") for line in str(error.value).splitlines()
    )
    assert error.value.exit_code == 2


def test_a_secret_that_contains_its_values_is_found() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x"},
        "stringData": {"password": "hunter2"},
    }
    assert validate([secret]) == ["Secret x: a Secret with its values has no place in a file"]
