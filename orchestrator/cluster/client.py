"""Access the Kubernetes API through its official client.

Objects are returned as plain dictionaries, and error answers become errors of this program.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client as api
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from orchestrator.cluster.api_errors import no_access, refusal, unreachable
from orchestrator.cluster.names import FIELD_MANAGER, Manifest
from orchestrator.errors import RightMissingError

_KUBECONFIG = "~/.kube/config"
_APPLY = "application/apply-patch+yaml"
# Request raw answers, because the client cannot parse the answer to an `apply` that created an
# object.
_RAW: dict[str, Any] = {
    "_preload_content": False,
    "_request_timeout": (5.0, 30.0),
}  # timeouts for the connection and for the answer, in seconds
_WRITE: dict[str, Any] = {**_RAW, "field_manager": FIELD_MANAGER, "field_validation": "Strict"}
_PLACES = {
    "RayJob": ("ray.io", "v1", "rayjobs"),
    "RayCluster": ("ray.io", "v1", "rayclusters"),
    "RayCronJob": ("ray.io", "v1", "raycronjobs"),
    "CronJob": ("batch", "v1", "cronjobs"),
}


class KubernetesClient:
    """Access to the objects of one namespace.

    Args:
        namespace: Name of the namespace.

    Raises:
        ConfigError: The kubeconfig or the in-cluster configuration is missing or invalid.
    """

    def __init__(self, namespace: str) -> None:
        configuration = _configuration()
        self._server: str = configuration.host
        self.namespace = namespace
        connection = api.ApiClient(configuration)
        # access to objects of all kinds except those of the core API
        self._objects = api.CustomObjectsApi(connection)
        self._core = api.CoreV1Api(connection)

    def get(self, kind: str, name: str) -> Manifest | None:
        """Return an object; None if no object has the name."""
        with self._answers(kind, name):
            try:
                if kind == "ConfigMap":
                    return _content(
                        self._core.read_namespaced_config_map(name, self.namespace, **_RAW)
                    )
                return _content(
                    self._objects.get_namespaced_custom_object(*self._place(kind), name, **_RAW)
                )
            except ApiException as error:
                if error.status == 404 and '"NotFound"' in (error.body or ""):
                    return None
                raise

    def find(self, kind: str, selector: str = "") -> list[Manifest]:
        """Return the objects whose labels match a selector, oldest first."""
        with self._answers(kind, ""):
            return _oldest_first(
                self._objects.list_namespaced_custom_object(
                    *self._place(kind), label_selector=selector, **_RAW
                )
            )

    def apply(self, manifest: Manifest) -> Manifest:
        """Create an object on the server, or change the existing object of the same name, and
        return the object's new content.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        options = {**_WRITE, "_content_type": _APPLY}
        with self._answers(kind, name):
            return _content(
                self._objects.patch_namespaced_custom_object(
                    *self._place(kind), name, manifest, **options
                )
            )

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object and return it; return an existing object unchanged.

        Creating an object needs fewer rights than `apply`.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        body: Any = manifest  # a mapping works, although the client's annotations require a model
        with self._answers(kind, name):
            try:
                if kind == "ConfigMap":
                    return _content(
                        self._core.create_namespaced_config_map(self.namespace, body, **_WRITE)
                    )
                return _content(
                    self._objects.create_namespaced_custom_object(
                        *self._place(kind), body, **_WRITE
                    )
                )
            except ApiException as error:
                if error.status == 409 and '"AlreadyExists"' in (error.body or ""):
                    # if the existing object has been deleted meanwhile, create it
                    return self.get(kind, name) or self.create(manifest)
                raise

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, if it exists, and all objects that it owns."""
        with self._answers(kind, name):
            try:
                self._objects.delete_namespaced_custom_object(
                    *self._place(kind), name, propagation_policy="Background", **_RAW
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def pods_of_job(self, name: str, since: datetime | None = None) -> list[str]:
        """Return the names of a batch Job's pods, oldest first.

        Args:
            name: Name of the Job.
            since: Creation time before which pods are ignored; None includes all pods.
        """
        selector = f"batch.kubernetes.io/job-name={name}"
        with self._answers("Pod", name):
            pods = _oldest_first(
                self._core.list_namespaced_pod(self.namespace, label_selector=selector, **_RAW)
            )
        return [
            str(pod["metadata"]["name"]) for pod in pods if since is None or _made(pod) >= since
        ]

    def check_namespace(self) -> None:
        """Check that the namespace exists, if the user may see it.

        The check is needed because listing the objects of a missing namespace returns an empty list
        and no error.

        Raises:
            UserInputError: The namespace does not exist.
        """
        with suppress(RightMissingError), self._answers("Namespace", ""):
            self._core.read_namespace(self.namespace, **_RAW)

    def log(self, pod: str, since_seconds: int | None) -> str:
        """Return a pod's log, with a timestamp on each line; the log is empty before the pod
        starts.
        """
        with self._answers("Pod", pod):
            try:
                answer: Any = self._core.read_namespaced_pod_log(
                    pod, self.namespace, timestamps=True, since_seconds=since_seconds, **_RAW
                )
            except ApiException as error:
                if error.status in (400, 404):  # the pod has not started yet, or was deleted
                    return ""
                raise
            return str(answer.data.decode("utf-8", errors="replace"))

    def _place(self, kind: str) -> tuple[str, str, str, str]:
        group, version, plural = _PLACES[kind]
        return group, version, self.namespace, plural

    @contextmanager
    def _answers(self, kind: str, name: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            if not error.status:
                raise unreachable(error, self._server) from None
            raise refusal(
                int(error.status), error.body or "", kind, f"{self.namespace}/{name}".rstrip("/")
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(error, self._server) from None


def _content(answer: Any) -> Manifest:  # noqa: ANN401 - the client's answers have many types
    content: Manifest = json.loads(answer.data)
    return content


def _oldest_first(answer: Any) -> list[Manifest]:  # noqa: ANN401 - as above
    return sorted(
        _content(answer)["items"],
        key=lambda item: str(item["metadata"].get("creationTimestamp", "")),
    )


def _made(item: Manifest) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])


def _configuration() -> api.Configuration:
    configuration = api.Configuration()
    configuration.retries = 0  # urllib3 would print each retry, and `follow` retries anyway
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # as above
        else:
            # pass the path explicitly: the client reads KUBECONFIG only once per process
            config.load_kube_config(
                os.environ.get("KUBECONFIG") or _KUBECONFIG, client_configuration=configuration
            )  # type: ignore[no-untyped-call] # as above
    except config.ConfigException as error:
        missing = _missing_files()
        raise no_access(missing or str(error).strip().splitlines()[0]) from None
    except (yaml.YAMLError, TypeError, AttributeError, UnicodeDecodeError):
        raise no_access("the kubeconfig file is invalid") from None
    return configuration


def _missing_files() -> str:
    """Return an error text if no kubeconfig file exists; empty if at least one file exists."""
    variable = os.environ.get("KUBECONFIG")
    names = variable.split(os.pathsep) if variable else [_KUBECONFIG]
    files = [Path(name).expanduser() for name in names if name]
    if any(file.exists() for file in files):
        return ""
    place = "KUBECONFIG names" if variable else "KUBECONFIG is not set, and"
    return f"{place} {', '.join(map(str, files))}, which does not exist"
