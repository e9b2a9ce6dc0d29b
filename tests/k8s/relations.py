"""Find problems between objects, and violations of this installation's own rules.

Problems within one object are found by `kubernetes_objects`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.cluster.names import (
    USES_KUBERNETES_LABEL,
    USES_OBJECT_STORAGE_LABEL,
    USES_STUDIES_LABEL,
)
from tests.k8s.rendering import Object, of_kind, pod_template, selects
from tests.kubernetes_objects import pod_specs

NAMESPACE = "orchestrator"
_CLUSTER_KINDS = {"Namespace", "ClusterQueue", "ResourceFlavor"}
_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_NEVER_GRANTED = {
    "secrets",
    "serviceaccounts/token",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "roles",
    "rolebindings",
    "nodes",
}
_NEVER_DONE = {"*", "escalate", "bind", "impersonate", "deletecollection", "update"}
_KINDS_OF_FIELDS = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}
_KINDS_OF_VOLUMES = {
    "configMap": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
# Pods with these labels are created by others: KubeRay, and jobs of `orchestrator submit`.
_FROM_ELSEWHERE = (
    {"ray.io/is-ray-node": "yes", "ray.io/node-type": "head"},
    {"ray.io/originated-from-crd": "RayJob"},
    {
        USES_KUBERNETES_LABEL: "true",
        USES_OBJECT_STORAGE_LABEL: "true",
        USES_STUDIES_LABEL: "true",
    },
)


def problems_between(objects: list[Object], documented: str) -> list[str]:
    """Return all errors, one line each.

    Args:
        objects: A whole installation.
        documented: Text with a command for each Secret and ConfigMap that a person creates.
    """
    return [
        *_names(objects),
        *_references(objects, documented),
        *_selectors(objects),
        *_ports(objects),
        *_rights(objects),
        *_pods(objects),
        *_standing(objects),
    ]


def documented_keys(text: str, kind: str, name: str) -> set[str] | None:
    """Return the keys of a Secret or ConfigMap in the command that creates it; None without a
    command.
    """
    command = re.search(
        rf"^kubectl .*create {kind} {re.escape(name)} ((?:\\\n|[^\n])*)", text, flags=re.MULTILINE
    )
    return (
        None
        if command is None
        else set(re.findall(r"--from-(?:literal|file)=\"?([\w.-]+)=", command[1]))
    )


def _names(objects: Iterable[Object]) -> Iterator[str]:
    seen = set()
    for each in objects:
        kind, metadata = each["kind"], each["metadata"]
        if not _DNS_LABEL.match(metadata["name"]):
            yield (
                f"{kind} {metadata['name']}: the name is longer than 63, or has other letters than"
                " a-z, 0-9 and -"
            )
        if kind not in _CLUSTER_KINDS and metadata.get("namespace") != NAMESPACE:
            yield f"{kind} {metadata['name']} is not in the namespace {NAMESPACE}"
        if (kind, metadata["name"]) in seen:
            yield f"{kind} {metadata['name']} stands there twice"
        seen.add((kind, metadata["name"]))


# --- references -----------------------------------------------------------------------------------


def _references(objects: list[Object], documented: str) -> Iterator[str]:
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for each in objects:
        where = f"{each['kind']} {each['metadata']['name']}"
        for _, spec in pod_specs(each):
            for kind, name, key, is_optional in _referenced(spec):
                if (kind, name) in there:
                    yield from _missing_key(objects, where, kind, name, key)
                elif not is_optional or kind not in ("Secret", "ConfigMap"):
                    yield from _undocumented(documented, where, kind, name, key)
            if ("ServiceAccount", spec.get("serviceAccountName")) not in there:
                yield f"{where}: there is no ServiceAccount {spec.get('serviceAccountName')}"
    for binding in of_kind(objects, "RoleBinding"):
        ends = [(binding["roleRef"]["kind"], binding["roleRef"]["name"])]
        ends += [(subject["kind"], subject["name"]) for subject in binding["subjects"]]
        yield from (
            f"RoleBinding {binding['metadata']['name']}: there is no {kind} {name}"
            for kind, name in ends
            if (kind, name) not in there
        )


def _referenced(spec: Object) -> Iterator[tuple[str, str, str | None, bool]]:
    """Return kind, name, key and optionality of everything that a pod takes values from."""
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        sources = [
            *container.get("envFrom", []),
            *(variable.get("valueFrom", {}) for variable in container.get("env", [])),
        ]
        for field, reference in (pair for source in sources for pair in source.items()):
            if kind := _KINDS_OF_FIELDS.get(field):
                yield (
                    kind,
                    reference["name"],
                    reference.get("key"),
                    reference.get("optional", False),
                )
    for volume in spec.get("volumes", []):
        for field, (kind, name) in _KINDS_OF_VOLUMES.items():
            if reference := volume.get(field):
                yield kind, reference[name], None, reference.get("optional", False)


def _missing_key(
    objects: list[Object], where: str, kind: str, name: str, key: str | None
) -> Iterator[str]:
    [found] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    if key is not None and key not in found.get("data", {}):
        yield f"{where}: {kind} {name} has no key {key}"


def _undocumented(
    documented: str, where: str, kind: str, name: str, key: str | None
) -> Iterator[str]:
    command_kind = {"Secret": "secret generic", "ConfigMap": "configmap"}.get(kind)
    keys = documented_keys(documented, command_kind, name) if command_kind else None
    if keys is None:
        yield f"{where}: there is no {kind} {name}, and README does not tell how to make it"
    elif key is not None and key not in keys:
        yield f"{where}: README makes {kind} {name} without the key {key}"


def _selectors(objects: list[Object]) -> Iterator[str]:
    own = [template["metadata"]["labels"] for each in objects if (template := pod_template(each))]
    for each in objects:
        where = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Service" and not any(
            selects({"matchLabels": each["spec"]["selector"]}, labels) for labels in own
        ):
            yield f"{where} selects no pod"
        if each["kind"] == "PodDisruptionBudget" and not any(
            selects(each["spec"]["selector"], labels) for labels in own
        ):
            yield f"{where} selects no pod"
        if each["kind"] in ("Deployment", "StatefulSet"):
            template = each["spec"]["template"]["metadata"]["labels"]
            if not selects(each["spec"]["selector"], template):
                yield f"{where} does not select its own pods"
        if each["kind"] == "NetworkPolicy":
            for selector in _pod_selectors(each["spec"]):
                if not any(selects(selector, labels) for labels in [*own, *_FROM_ELSEWHERE]):
                    yield f"{where} selects no pod by {selector}"


def _pod_selectors(spec: Object) -> Iterator[Object]:
    yield spec["podSelector"]
    for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
        for peer in [*rule.get("from", []), *rule.get("to", [])]:
            if "podSelector" in peer and "namespaceSelector" not in peer:
                yield peer["podSelector"]


def _ports(objects: list[Object]) -> Iterator[str]:
    templates = [template for each in objects if (template := pod_template(each))]
    for service in of_kind(objects, "Service"):
        for template in templates:
            if selects(
                {"matchLabels": service["spec"]["selector"]}, template["metadata"]["labels"]
            ):
                names = {
                    port["name"]
                    for container in template["spec"]["containers"]
                    for port in container.get("ports", [])
                }
                wanted = {port["targetPort"] for port in service["spec"]["ports"]}
                yield from (
                    f"Service {service['metadata']['name']}: its pods have no port {port}"
                    for port in sorted(wanted - names)
                )


# --- this installation's own rules ----------------------------------------------------------------


def _rights(objects: list[Object]) -> Iterator[str]:
    for each in of_kind(objects, "ClusterRole", "ClusterRoleBinding"):
        yield f"{each['kind']} {each['metadata']['name']} reaches beyond the namespace"
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            where = f"Role {role['metadata']['name']}"
            for field, forbidden in {
                "resources": {"*", *_NEVER_GRANTED},
                "verbs": _NEVER_DONE,
                "apiGroups": {"*"},
            }.items():
                yield from (
                    f"{where} grants {name} in {field}"
                    for name in rule.get(field, [])
                    if name in forbidden
                )


def _pods(objects: list[Object]) -> Iterator[str]:
    for each in objects:
        template = pod_template(each)
        if template is None:
            continue
        where, spec = f"{each['kind']} {each['metadata']['name']}", template["spec"]
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{where}: its pods hold a token of Kubernetes, which none of them needs"
        if spec.get("enableServiceLinks") is not False:
            yield (
                f"{where}: enableServiceLinks must be false, or the Service mlflow gives it"
                " MLFLOW_PORT=tcp://…"
            )
        if each["kind"] in ("Deployment", "StatefulSet"):
            for container in spec["containers"]:
                missing = [
                    probe
                    for probe in ("startupProbe", "readinessProbe", "livenessProbe")
                    if probe not in container
                ]
                yield from (f"{where}: {container['name']} has no {probe}" for probe in missing)
        if each["kind"] == "CronJob":
            yield from (f"{where}: {problem}" for problem in _cron_job(each["spec"]))


def _cron_job(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("concurrencyPolicy") != "Forbid":
        yield "two of its jobs may run at once"
    for field in ("timeZone", "startingDeadlineSeconds"):
        if field not in spec:
            yield f"{field} is missing"
    if "activeDeadlineSeconds" not in spec["jobTemplate"]["spec"]:
        yield "a job that hangs would never end"


def _standing(objects: list[Object]) -> Iterator[str]:
    [namespace] = of_kind(objects, "Namespace")
    if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield (
            f"Namespace {namespace['metadata']['name']} does not enforce the restricted Pod"
            " Security Standard"
        )
    deny_all = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if not any(policy["spec"] == deny_all for policy in of_kind(objects, "NetworkPolicy")):
        yield "no NetworkPolicy denies what no other allows"
    for service in of_kind(objects, "Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"Service {service['metadata']['name']} is reachable from outside the cluster"
