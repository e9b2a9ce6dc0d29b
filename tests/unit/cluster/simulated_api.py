"""A SIMULATION of the Kubernetes API server: there is no cluster here.

It keeps objects and answers as API servers of Kubernetes 1.30 and newer do (bodies copied from such
servers). Tests can make it refuse requests, lack fields of a definition, behave as just started, or
lose its kubelets. Whether objects are valid is tested elsewhere.
"""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_NAMESPACE = re.compile(r"^/api/v1/namespaces/(?P<name>[^/]+)$")
_PLACE = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))/namespaces/(?P<ns>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?$"
)
KINDS = {
    "rayjobs": "RayJob",
    "rayclusters": "RayCluster",
    "raycronjobs": "RayCronJob",
    "cronjobs": "CronJob",
    "configmaps": "ConfigMap",
    "pods": "Pod",
}


def status(code: int, reason: str, message: str, **details: object) -> str:
    """Return a refusal in the form of API servers."""
    answer: dict[str, object] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
    }
    answer |= {"message": message, "reason": reason, "details": details, "code": code}
    return json.dumps(answer)


def not_found(plural: str, name: str) -> tuple[int, str]:
    """Return the answer for an object or a namespace that does not exist."""
    message = f'{plural} "{name}" not found'
    return 404, status(404, "NotFound", message, name=name, kind=plural)


def forbidden(asked: "Asked") -> tuple[int, str]:
    """Return the answer if RBAC grants nothing; a server that has just started answers the same
    (kubernetes#121635).
    """
    verb = {"POST": "create"}.get(asked.method, asked.method.lower() if asked.name else "list")
    group = "ray.io" if asked.plural.startswith("ray") else ""
    message = (
        f'{asked.plural}{group and f".{group}"} "{asked.name}" is forbidden: User "ann" cannot'
        f' {verb} resource "{asked.plural}" in API group "{group}" in the namespace "orchestrator"'
    )
    return 403, status(403, "Forbidden", message, name=asked.name, kind=asked.plural)


@dataclass
class Asked:
    """One request.

    Attributes:
        method: GET, PATCH, …
        plural: Kind of the object, as a plural.
        name: Name of the object; empty for a list.
        query: Parameters of the query.
        content_type: Content type of the body.
        body: Body of the request.
        namespace: Namespace of the object.
        is_log: Whether the request is for a pod's log.
    """

    method: str
    plural: str
    name: str
    query: dict[str, str]
    content_type: str
    body: dict[str, Any]
    namespace: str = "orchestrator"
    is_log: bool = False


@dataclass
class SimulatedApi:
    """The objects of one namespace, and every request for them.

    Attributes:
        objects: Objects by plural and name.
        logs: Output of pods, each line with its time.
        refusals: HTTP status and body by method and plural, returned instead of an answer.
        asked: Every request.
        namespaces: Existing namespaces.
        undeclared: Fields, `spec.a.b`, that the definition of a plural lacks.
        num_starting: Number of requests until a server that has just started has loaded RBAC.
        is_kubelet_away: Whether the pods' node does not answer.
        on_get: Called before an object is returned, to change the cluster meanwhile.
    """

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    namespaces: set[str] = field(default_factory=lambda: {"orchestrator"})
    undeclared: dict[str, str] = field(default_factory=dict)
    num_starting: int = 0
    is_kubelet_away: bool = False
    on_get: Callable[[str, str], None] = lambda plural, name: None
    _garbage: dict[str, int] = field(default_factory=dict)

    def answer(self, asked: Asked) -> tuple[int, str]:
        """Return status and body."""
        self.asked.append(asked)
        self._collect_garbage()
        if refusal := self._refusal(asked):
            return refusal
        key = asked.plural, asked.name
        if asked.is_log:
            return self._log(asked.name)
        if asked.plural == "namespaces":
            return 200, json.dumps({"kind": "Namespace", "metadata": {"name": asked.name}})
        if asked.method == "GET" and not asked.name:
            listed = {"kind": "List", "apiVersion": "v1", "metadata": {}}
            return 200, json.dumps({**listed, "items": list(self._selected(asked))})
        if asked.method in ("POST", "PATCH"):
            return self._write(asked)
        if asked.method == "GET":
            self.on_get(*key)
        if key not in self.objects:
            return not_found(*key)
        found = self.objects[key]
        if asked.method == "DELETE":
            self._garbage[found["metadata"].get("uid", "")] = len(self.asked) + 3
            del self.objects[key]
        return 200, json.dumps(found)

    def _collect_garbage(self) -> None:
        """Delete the dependents of objects that were deleted some requests ago."""
        gone = {owner for owner, moment in self._garbage.items() if len(self.asked) > moment}
        for key, found in list(self.objects.items()):
            owners = {each["uid"] for each in found["metadata"].get("ownerReferences", [])}
            if owners and owners <= gone:
                del self.objects[key]

    def _write(self, asked: Asked) -> tuple[int, str]:
        name = asked.body["metadata"]["name"]
        is_new = (asked.plural, name) not in self.objects
        if asked.method == "POST" and not is_new:
            return 409, status(409, "AlreadyExists", f'{asked.plural} "{name}" already exists')
        return 201 if is_new else 200, json.dumps(self._put((asked.plural, name), asked.body))

    def _refusal(self, asked: Asked) -> tuple[int, str] | None:
        if self.num_starting:
            self.num_starting -= 1
            return forbidden(asked)
        if refusal := self.refusals.get((asked.method, asked.plural)):
            return refusal
        # lists of a nonexistent namespace are empty
        is_write = asked.method in ("POST", "PATCH") or asked.plural == "namespaces"
        if is_write and asked.namespace not in self.namespaces:
            return not_found("namespaces", asked.namespace)
        path = self.undeclared.get(asked.plural, "")
        return _undeclared(asked, path) if path and _has(asked.body, path) else None

    def _log(self, pod: str) -> tuple[int, str]:
        if self.is_kubelet_away:
            address = f"10.0.0.5:10250/containerLogs/orchestrator/{pod}/ray-job-submitter"
            message = f'Get "https://{address}": dial tcp 10.0.0.5:10250: connect: no route to host'
            return 500, status(500, "InternalError", message)
        if pod not in self.logs:
            return 400, status(400, "BadRequest", "container is waiting to start")
        return 200, self.logs[pod]

    def _put(self, key: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        now = datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(seconds=len(self.asked))
        made = {"uid": str(uuid.uuid4()), "creationTimestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        before = self.objects.get(key, {"metadata": made})
        # applying keeps fields that others have set and the applied object lacks
        kept = {
            part: {**before.get(part, {}), **body.get(part, {})} for part in ("metadata", "spec")
        }
        self.objects[key] = {**before, **body, **{part: kept[part] for part in kept if kept[part]}}
        return self.objects[key]

    def _selected(self, asked: Asked) -> Iterator[dict[str, Any]]:
        wanted, equals, value = asked.query.get("labelSelector", "").partition("=")
        for (plural, _), found in self.objects.items():
            labels = found["metadata"].get("labels", {})
            if plural == asked.plural and (
                not wanted or (labels.get(wanted) == value if equals else wanted in labels)
            ):
                yield found


def _has(body: dict[str, Any], path: str) -> bool:
    here: Any = body
    for name in path.split("."):
        here = here.get(name) if isinstance(here, dict) else None
    return here is not None


def _undeclared(asked: Asked, path: str) -> tuple[int, str]:
    """Return the answer to a field that a definition lacks, which differs between `apply` and
    `create`.
    """
    kind, name = KINDS[asked.plural], asked.body["metadata"]["name"]
    if asked.method == "POST":
        message = (
            f'{kind} in version "v1" cannot be handled as a {kind}: strict decoding error: unknown'
            f' field "{path}"'
        )
        return 400, status(400, "BadRequest", message)
    message = (
        f"failed to create typed patch object (orchestrator/{name}; {asked.body['apiVersion']},"
        f" Kind={kind}): .{path}: field not declared in schema"
    )
    return 500, status(500, "", message)


@contextmanager
def simulated_api(folder: Path) -> Iterator[tuple[SimulatedApi, Path]]:
    """Start a simulated server, and return it with a kubeconfig for its clients."""
    api = SimulatedApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            url = urlsplit(self.path)
            place = _PLACE.match(url.path)
            namespace = _NAMESPACE.match(url.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if namespace:
                code, body = api.answer(
                    Asked(
                        self.command, "namespaces", namespace["name"], {}, "", {}, namespace["name"]
                    )
                )
            elif place is None or place["plural"] not in KINDS:
                code, body = 404, "404 page not found\n"
            else:
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                content_type = self.headers.get("Content-Type", "")
                asked = Asked(
                    self.command,
                    place["plural"],
                    place["name"] or "",
                    query,
                    content_type,
                    json.loads(text) if text else {},
                    place["ns"],
                    place["log"] is not None,
                )
                code, body = api.answer(asked)
            data = body.encode()
            self.send_response(code)
            self.send_header(
                "Content-Type",
                "application/json" if body.startswith("{") else "text/plain; charset=utf-8",
            )
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - so the library calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(kubeconfig_for(f"http://127.0.0.1:{server.server_port}"))
    try:
        yield api, kubeconfig
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig_for(server: str) -> str:
    """Return a kubeconfig with one cluster and one user."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {"token": "none"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )
