"""Check without a cluster whether Kubernetes would accept rendered objects, for the tests of k8s/
and of `submit`.

Core kinds are validated strictly against the schemas of several Kubernetes versions, Ray's kinds
against KubeRay's own definitions with unknown fields as errors, all pods against the restricted Pod
Security Standard, and everything against this project's own rules.
"""

import copy
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # published without type information
import kubernetes_validate  # type: ignore[import-untyped] # as above
import kubernetes_validate.utils  # type: ignore[import-untyped] # as above
import yaml

from orchestrator.cluster.rules import problems

CRDS = Path(__file__).parents[2] / "shared" / "kuberay-crds"
# The newest version and the three before it: those that a maintained cluster may have.
VERSIONS = tuple(dict.fromkeys(kubernetes_validate.utils.all_versions()))[
    -4:
]  # it names each twice

_RAY_KINDS = {"RayCluster": "rayclusters", "RayJob": "rayjobs", "RayCronJob": "raycronjobs"}
# Kinds of cluster add-ons, for which there are no schemas here.
_OTHER_APIS = ("kueue.x-k8s.io/",)
_SECRET_NAME = re.compile(
    r"PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE|_KEY$|ACCESS_KEY", re.IGNORECASE
)
_PASSWORD_IN_ADDRESS = re.compile(r"://[^:/@\s]*:[^@/\s$]+@")
_PINNED = re.compile(r"^[^\s]+(@sha256:[0-9a-f]{64}|:(?!latest$)[\w][\w.-]*)$")
_QUANTITY = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?$")
_ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_RESTRICTED_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_ALLOWED_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}


def has_ray_schemas() -> bool:
    """Return whether KubeRay's definitions are installed; a checkout alone lacks them."""
    return CRDS.is_dir()


def validate(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all errors in these objects, one line each, beginning with the object's kind and
    name.
    """
    found = []
    for each in objects:
        name = (
            f"{each.get('kind', 'no kind')}"
            f" {each.get('metadata', {}).get('name', 'without a name')}"
        )
        found += [f"{name}: {problem}" for problem in _problems(dict(each))]
    return found


def pod_specs(manifest: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every pod specification in an object, with its path."""
    if isinstance(manifest, dict):
        if isinstance(manifest.get("containers"), list):
            yield path, manifest
        for key, value in manifest.items():
            yield from pod_specs(value, f"{path}.{key}" if path else str(key))
    elif isinstance(manifest, list):
        for number, value in enumerate(manifest):
            yield from pod_specs(value, f"{path}[{number}]")


def _autoscalers(manifest: object) -> Iterator[dict[str, Any]]:
    if isinstance(manifest, dict):
        if isinstance(manifest.get("autoscalerOptions"), dict):
            yield manifest["autoscalerOptions"]
        for value in manifest.values():
            yield from _autoscalers(value)


def _problems(manifest: dict[str, Any]) -> Iterator[str]:
    well_formed = True
    for problem in _schema_problems(manifest):
        well_formed = False
        yield problem
    # a StatefulSet's claims are volumes of its pods
    claims = [
        {"name": claim["metadata"]["name"]}
        for claim in manifest.get("spec", {}).get("volumeClaimTemplates", [])
    ]
    for path, spec in pod_specs(manifest):
        yield from (
            f"{path}: {problem}"
            for problem in _pod_problems({**spec, "volumes": [*spec.get("volumes", []), *claims]})
        )
    for autoscaler in _autoscalers(manifest):  # KubeRay turns it into a container in the head's pod
        yield from (
            f"autoscalerOptions: {problem}"
            for problem in _container_problems(autoscaler, _RESTRICTED_POD)
        )
    yield from _images(manifest)
    yield from _inline_secrets(manifest)
    if well_formed:  # the rules read fields that the schema guarantees
        yield from problems(manifest)


# --- schemas --------------------------------------------------------------------------------------


def _schema_problems(manifest: dict[str, Any]) -> Iterator[str]:
    kind, api = str(manifest.get("kind", "")), str(manifest.get("apiVersion", ""))
    if not isinstance(manifest.get("metadata", {}).get("name"), str):
        yield "metadata.name is missing"
    if api.startswith("ray.io/"):
        yield from _ray_problems(manifest, kind)
    elif not api.startswith(_OTHER_APIS):
        yield from _core_problems(manifest)


def _core_problems(manifest: dict[str, Any]) -> Iterator[str]:
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {_where(error)}{error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"Kubernetes {version}: {error.message}"
        except KeyError as error:
            yield f"{error} is missing"


def _ray_problems(manifest: dict[str, Any], kind: str) -> Iterator[str]:
    if kind not in _RAY_KINDS:
        yield f"{kind!r} is no kind of KubeRay"
        return
    if has_ray_schemas():
        for error in _ray_validator(kind, str(manifest["apiVersion"])).iter_errors(manifest):
            yield f"{_where(error)}{error.message[:300]}"


@functools.cache
def _ray_validator(kind: str, api: str) -> jsonschema.Draft202012Validator:
    definition = _load(CRDS / f"ray.io_{_RAY_KINDS[kind]}.yaml")
    [version] = [
        version
        for version in definition["spec"]["versions"]
        if version["name"] == api.partition("/")[2] and version["served"]
    ]
    schema = _closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # its own schema is that of Kubernetes
    schema["properties"]["apiVersion"], schema["properties"]["kind"] = (
        {"const": api},
        {"const": kind},
    )
    return jsonschema.Draft202012Validator(schema, format_checker=_FORMATS)


def _load(file: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a megabyte each
    loaded: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
    return loaded


def _closed(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return the schema with OpenAPI's keywords as JSON Schema's, in which unknown fields are
    errors.
    """
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: value if key in ("enum", "default") else _closed(value)
        for key, value in schema.items()
        if key != "properties"
    }
    if "properties" in schema:
        closed["properties"] = {name: _closed(part) for name, part in schema["properties"].items()}
        if (
            not schema.get("x-kubernetes-preserve-unknown-fields")
            and "additionalProperties" not in schema
        ):
            closed["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("anyOf", None)
        closed["type"] = ["integer", "string"]
    if schema.get("nullable"):
        closed["type"] = [closed["type"], "null"]
    return closed


def _fits(bits: int, value: object) -> bool:
    return not isinstance(value, int) or -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checkers |= {f"int{bits}": (functools.partial(_fits, bits), ()) for bits in (32, 64)}


def _where(error: jsonschema.ValidationError) -> str:
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    )
    return f"{path.lstrip('.')}: " if path else ""


# --- pods -----------------------------------------------------------------------------------------


def _pod_problems(spec: dict[str, Any]) -> Iterator[str]:
    """Return violations of the restricted Pod Security Standard, and of this project's own rules
    for every container.
    """
    pod = spec.get("securityContext") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is not restricted"
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= _ALLOWED_VOLUMES:
            yield (
                f"volume {volume.get('name')} is of a kind that is not restricted:"
                f" {', '.join(sorted(kinds))}"
            )
    for sysctl in pod.get("sysctls", []):
        if sysctl.get("name") not in _ALLOWED_SYSCTLS:
            yield f"sysctl {sysctl.get('name')} is not restricted"
    yield from _references(spec)
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or []:
            yield from (
                f"container {container.get('name')}: {problem}"
                for problem in _container_problems(container, pod)
            )


def _references(spec: dict[str, Any]) -> Iterator[str]:
    """Return mounts without a volume, and volumes without a mount."""
    containers = [
        container
        for group in ("initContainers", "containers")
        for container in spec.get(group) or []
    ]
    mounted = {
        mount.get("name") for container in containers for mount in container.get("volumeMounts", [])
    }
    volumes = [volume.get("name") for volume in spec.get("volumes", [])]
    yield from (
        f"volumeMount {name} has no volume" for name in sorted(mounted - set(volumes), key=str)
    )
    yield from (
        f"volume {name} stands there twice"
        for name in sorted({name for name in volumes if volumes.count(name) > 1})
    )
    names = [container.get("name") for container in containers]
    yield from (
        f"container {name} stands there twice"
        for name in sorted({name for name in names if names.count(name) > 1})
    )


def _container_problems(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    capabilities, effective = own.get("capabilities") or {}, copy.deepcopy(pod) | own
    violations = {
        "is privileged": own.get("privileged"),
        "allowPrivilegeEscalation must be false": own.get("allowPrivilegeEscalation") is not False,
        "runAsNonRoot must be true": effective.get("runAsNonRoot") is not True,
        "runAsUser must not be 0": 0 in (own.get("runAsUser"), pod.get("runAsUser")),
        "seccompProfile.type must be RuntimeDefault or Localhost": (
            (effective.get("seccompProfile") or {}).get("type")
            not in ("RuntimeDefault", "Localhost")
        ),
        "capabilities.drop must have ALL": "ALL" not in capabilities.get("drop", []),
        "capabilities.add may have NET_BIND_SERVICE only": (
            set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}
        ),
        "procMount must be Default": own.get("procMount", "Default") != "Default",
        "hostPort is not restricted": any(
            port.get("hostPort") for port in container.get("ports", [])
        ),
        "a probe's host is not restricted": any(_hosts(container)),
        "readOnlyRootFilesystem must be true": own.get("readOnlyRootFilesystem") is not True,
    }
    yield from (text for text, is_violated in violations.items() if is_violated)
    yield from _resources(container.get("resources") or {})


def _hosts(container: dict[str, Any]) -> Iterator[str]:
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        for check in ("httpGet", "tcpSocket"):
            yield ((container.get(probe) or {}).get(check) or {}).get("host", "")


def _resources(resources: dict[str, Any]) -> Iterator[str]:
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory"):
            amount = (resources.get(kind) or {}).get(name)
            if amount is None:
                yield f"resources.{kind}.{name} is missing"
        for name, amount in (resources.get(kind) or {}).items():
            if not _QUANTITY.match(str(amount)):
                yield f"resources.{kind}.{name} = {amount!r} is no quantity"


# --- images and secrets ---------------------------------------------------------------------------


def _images(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        image = node.get("image")
        if isinstance(image, str) and "name" in node and not _PINNED.match(image):
            yield f"image {image} is not pinned: it needs a tag other than latest, or a digest"
        for value in node.values():
            yield from _images(value)
    elif isinstance(node, list):
        for value in node:
            yield from _images(value)


def _inline_secrets(manifest: dict[str, Any]) -> Iterator[str]:
    if manifest.get("kind") == "Secret" and (manifest.get("data") or manifest.get("stringData")):
        yield "a Secret with its values has no place in a file"
    yield from _values_that_look_secret(manifest)


def _values_that_look_secret(node: object, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        name = node.get("name")
        if (
            isinstance(name, str)
            and isinstance(node.get("value"), str)
            and _SECRET_NAME.search(name)
            and node["value"]
        ):
            yield f"the value of {name} stands there for everybody to read; take it from a Secret"
        for inner, value in node.items():
            yield from _values_that_look_secret(value, str(inner))
    elif isinstance(node, list):
        for value in node:
            yield from _values_that_look_secret(value, key)
    elif isinstance(node, str) and _PASSWORD_IN_ADDRESS.search(node):
        yield f"{key} has an address with a password in it"
