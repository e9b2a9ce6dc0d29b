"""The checks themselves: each of these mistakes in a correct installation is found."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.k8s.relations import problems_between
from tests.k8s.rendering import K8S, Object, named, of_kind, render
from tests.kubernetes_objects import validate

README = (K8S / "README.md").read_text(encoding="utf-8")

Change = Callable[[Any], object]


def pod_of(kind: str, name: str, change: Change) -> Callable[[list[Object]], object]:
    """Return a change of a workload's pod."""

    def apply(objects: list[Object]) -> object:
        spec = named(objects, kind, name)["spec"]
        return change(
            (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]["spec"]
        )

    return apply


def container_of(kind: str, name: str, change: Change) -> Callable[[list[Object]], object]:
    """Return a change of a workload's container."""
    return pod_of(kind, name, lambda pod: change(pod["containers"][0]))


def spec_of(kind: str, name: str, change: Change) -> Callable[[list[Object]], object]:
    """Return a change of an object's specification."""
    return lambda objects: change(named(objects, kind, name)["spec"])


def mlflow(change: Change) -> Callable[[list[Object]], object]:
    """Return a change of MLflow's container."""
    return container_of("Deployment", "mlflow", change)


def secure(name: str, value: object) -> Callable[[list[Object]], object]:
    """Return a change of the security context of MLflow's container."""
    return mlflow(lambda container: container["securityContext"].update({name: value}))


def secret(container: Object, variable: str) -> Object:
    """Return the reference of a variable to a key of a Secret."""
    found: Object
    [found] = [
        each["valueFrom"]["secretKeyRef"] for each in container["env"] if each["name"] == variable
    ]
    return found


def role(objects: list[Object], name: str) -> list[Object]:
    """Return the rules of a role."""
    rules: list[Object] = named(objects, "Role", name)["rules"]
    return rules


def remove(kind: str, name: str) -> Callable[[list[Object]], object]:
    """Return an installation without one of its objects."""
    return lambda objects: objects.remove(named(objects, kind, name))


MUTATIONS: dict[str, tuple[Callable[[list[Object]], object], str]] = {
    # errors found by Kubernetes' schemas
    "a misspelt field": (
        spec_of("Deployment", "mlflow", lambda spec: spec.update(replica=1)),
        "'replica' was unexpected",
    ),
    "a misspelt field of a pod": (
        pod_of("Deployment", "mlflow", lambda pod: pod.update(serviceAcountName="x")),
        "serviceAcountName",
    ),
    "a misspelt field of a container": (
        mlflow(lambda container: container.update(livenesProbe={})),
        "livenesProbe",
    ),
    "text for a number": (
        spec_of("Deployment", "mlflow", lambda spec: spec.update(replicas="one")),
        "'one' is not of type",
    ),
    "a field at the wrong place": (
        spec_of("CronJob", "store-gc", lambda spec: spec.update(backoffLimit=1)),
        "'backoffLimit' was unexpected",
    ),
    "no schedule": (
        spec_of("CronJob", "store-gc", lambda spec: spec.pop("schedule")),
        "'schedule' is a required property",
    ),
    "a schedule that cron does not know": (
        spec_of("CronJob", "store-gc", lambda spec: spec.update(schedule="30 26 * * *")),
        "30 26 * * *",
    ),
    "an API version that is gone": (
        lambda objects: named(objects, "PodDisruptionBudget", "mlflow").update(
            apiVersion="policy/v1beta1"
        ),
        "policy/v1beta1",
    ),
    "a name too long": (
        lambda objects: named(objects, "CronJob", "mlflow-upgrade")["metadata"].update(
            name="mlflow-upgrade-" + 40 * "x"
        ),
        "52",
    ),
    "a name with capitals": (
        lambda objects: named(objects, "Service", "mlflow")["metadata"].update(name="MLflow"),
        "MLflow: the name",
    ),
    # the restricted Pod Security Standard, and this project's own requirements for containers
    "a privileged container": (secure("privileged", value=True), "is privileged"),
    "privilege escalation": (
        secure("allowPrivilegeEscalation", value=True),
        "allowPrivilegeEscalation",
    ),
    "a writable root": (secure("readOnlyRootFilesystem", value=False), "readOnlyRootFilesystem"),
    "a capability": (
        secure("capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "NET_BIND_SERVICE",
    ),
    "capabilities that are kept": (secure("capabilities", {}), "capabilities.drop"),
    "root": (
        pod_of("Deployment", "mlflow", lambda pod: pod["securityContext"].update(runAsUser=0)),
        "runAsUser must not be 0",
    ),
    "perhaps root": (
        pod_of("CronJob", "store-gc", lambda pod: pod["securityContext"].pop("runAsNonRoot")),
        "runAsNonRoot",
    ),
    "no seccomp profile": (
        pod_of("StatefulSet", "postgres", lambda pod: pod["securityContext"].pop("seccompProfile")),
        "seccompProfile",
    ),
    "the network of the node": (
        pod_of("Deployment", "mlflow", lambda pod: pod.update(hostNetwork=True)),
        "hostNetwork",
    ),
    "a folder of the node": (
        pod_of(
            "CronJob",
            "store-gc",
            lambda pod: pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
        ),
        "hostPath",
    ),
    "the newest image": (
        mlflow(lambda container: container.update(image="continual-orchestrator-mlflow:latest")),
        "is not pinned",
    ),
    "an image without a version": (
        mlflow(lambda container: container.update(image="continual-orchestrator-mlflow")),
        "is not pinned",
    ),
    "no limit of memory": (
        mlflow(lambda container: container["resources"]["limits"].pop("memory")),
        "limits.memory is missing",
    ),
    "a quantity of another world": (
        mlflow(lambda container: container["resources"]["limits"].update(memory="2GB")),
        "is no quantity",
    ),
    "a password in a manifest": (
        mlflow(
            lambda container: container["env"].append(
                {"name": "MLFLOW_AUTH_ADMIN_PASSWORD", "value": "hunter2"}
            )
        ),
        "take it from a Secret",
    ),
    "a password in an address": (
        lambda objects: named(objects, "ConfigMap", "mlflow-settings")["data"].update(
            MLFLOW_BACKEND_STORE_URI="postgresql://a:b@c/d"
        ),
        "has an address with a password",
    ),
    "a Secret with its values": (
        lambda objects: objects.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "s", "namespace": "orchestrator"},
                "data": {"a": "YQ=="},
            }
        ),
        "has no place in a file",
    ),
    # references without a target
    "a missing Secret": (
        mlflow(lambda own: secret(own, "PGPASSWORD").update(name="mlflow-databse")),
        "no Secret mlflow-databse",
    ),
    "a missing key of a Secret": (
        mlflow(lambda own: secret(own, "PGPASSWORD").update(key="pasword")),
        "without the key pasword",
    ),
    "a missing ConfigMap": (
        lambda objects: objects.remove(named(objects, "ConfigMap", "mlflow-auth")),
        "there is no ConfigMap mlflow-auth",
    ),
    "a missing claim": (
        remove("PersistentVolumeClaim", "orchestrator-store"),
        "there is no PersistentVolumeClaim orchestrator-store",
    ),
    "a missing account": (
        remove("ServiceAccount", "database"),
        "there is no ServiceAccount database",
    ),
    "a missing role": (
        remove("Role", "orchestrator-scheduler"),
        "there is no Role orchestrator-scheduler",
    ),
    "a mount without a volume": (
        pod_of("Deployment", "mlflow", lambda pod: pod["volumes"].pop()),
        "has no volume",
    ),
    "a service for nobody": (
        spec_of("Service", "postgres", lambda spec: spec.update(selector={"app": "postgres"})),
        "selects no pod",
    ),
    "a service for a port that nobody has": (
        spec_of("Service", "mlflow", lambda spec: spec["ports"][0].update(targetPort="web")),
        "its pods have no port web",
    ),
    "a budget for nobody": (
        spec_of(
            "PodDisruptionBudget",
            "mlflow",
            lambda spec: spec.update(selector={"matchLabels": {"app": "mlflow"}}),
        ),
        "selects no pod",
    ),
    "a policy for nobody": (
        spec_of(
            "NetworkPolicy",
            "database",
            lambda spec: spec.update(podSelector={"matchLabels": {"app": "postgres"}}),
        ),
        "selects no pod",
    ),
    "a policy that lets nobody in": (
        spec_of(
            "NetworkPolicy",
            "mlflow",
            lambda spec: spec["ingress"][0].update(
                {"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}
            ),
        ),
        "selects no pod",
    ),
    # further requirements of this installation
    "no policy that denies": (remove("NetworkPolicy", "deny-all"), "no NetworkPolicy denies"),
    "another namespace": (
        lambda objects: named(objects, "Service", "mlflow")["metadata"].update(namespace="default"),
        "is not in the namespace orchestrator",
    ),
    "a namespace that lets everything in": (
        lambda objects: of_kind(objects, "Namespace")[0]["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "privileged"}
        ),
        "does not enforce",
    ),
    "rights to everything": (
        lambda objects: role(objects, "orchestrator-researcher")[0].update(verbs=["*"]),
        "grants * in verbs",
    ),
    "rights to Secrets": (
        lambda objects: role(objects, "orchestrator-scheduler")[0]["resources"].append("secrets"),
        "grants secrets",
    ),
    "rights in all groups": (
        lambda objects: role(objects, "orchestrator-scheduler")[0].update(apiGroups=["*"]),
        "grants * in apiGroups",
    ),
    "rights beyond the namespace": (
        lambda objects: objects.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "all"},
                "rules": [],
            }
        ),
        "reaches beyond the namespace",
    ),
    "a token for MLflow": (
        pod_of("Deployment", "mlflow", lambda pod: pod.update(automountServiceAccountToken=True)),
        "hold a token",
    ),
    "MLFLOW_PORT from the Service": (
        pod_of("Deployment", "mlflow", lambda pod: pod.pop("enableServiceLinks")),
        "MLFLOW_PORT=tcp",
    ),
    "a server that nobody watches": (
        mlflow(lambda container: container.pop("livenessProbe")),
        "has no livenessProbe",
    ),
    "jobs that overlap": (
        spec_of("CronJob", "store-gc", lambda spec: spec.update(concurrencyPolicy="Allow")),
        "may run at once",
    ),
    "a job without an end": (
        spec_of(
            "CronJob",
            "postgres-backup",
            lambda spec: spec["jobTemplate"]["spec"].pop("activeDeadlineSeconds"),
        ),
        "would never end",
    ),
    "MLflow for the whole world": (
        spec_of("Service", "mlflow", lambda spec: spec.update(type="LoadBalancer")),
        "from outside",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mistake_is_found(name: str) -> None:
    mutate, expected = MUTATIONS[name]
    right, wrong = render("local"), render("local")
    mutate(wrong)
    found = [
        *validate(each for each in wrong if each not in right),
        *problems_between(wrong, README),
    ]
    assert any(expected in problem for problem in found), found


def test_the_number_of_mistakes_is_sufficient() -> None:
    assert len(MUTATIONS) >= 50
