"""A SIMULATION of the Kubernetes API server: there is no cluster here.

It keeps objects, answers in the shapes in which API servers of Kubernetes 1.30 and newer answer
(bodies taken from such servers), and can be told to refuse. It checks nothing: whether objects are
valid is tested elsewhere.
"""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
    """A refusal as API servers write it."""
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }
    )


@dataclass
class Asked:
    """One request.

    Attributes:
        method: GET, PATCH, …
        plural: What of.
        name: Which; empty for a list.
        query: The parameters.
        content_type: Of the body.
        body: It.
    """

    method: str
    plural: str
    name: str
    query: dict[str, str]
    content_type: str
    body: dict[str, Any]


@dataclass
class SimulatedApi:
    """The objects of one namespace, and everything that was asked.

    Attributes:
        objects: By plural and name.
        logs: What pods have printed, each line with its time.
        refusals: HTTP status and body by method and plural, instead of an answer.
        asked: Every request.
        on_get: Called before an object is given: what happens in the cluster meanwhile.
    """

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    on_get: Callable[[str, str], None] = lambda plural, name: None

    def answer(self, asked: Asked, log: bool) -> tuple[int, str]:
        """Status and body."""
        self.asked.append(asked)
        if refusal := self.refusals.get((asked.method, asked.plural)):
            return refusal
        key = asked.plural, asked.name
        if log:
            return (
                (200, self.logs[asked.name])
                if asked.name in self.logs
                else (400, status(400, "BadRequest", "container is waiting to start"))
            )
        if asked.method == "GET" and not asked.name:
            return 200, json.dumps(
                {
                    "kind": "List",
                    "apiVersion": "v1",
                    "metadata": {},
                    "items": list(self._selected(asked)),
                }
            )
        if asked.method == "GET":
            self.on_get(*key)
        if asked.method == "POST":
            key = asked.plural, asked.body["metadata"]["name"]
            if key in self.objects:
                return 409, status(
                    409,
                    "AlreadyExists",
                    f'{asked.plural} "{key[1]}" already exists',
                    name=key[1],
                    kind=asked.plural,
                )
        if asked.method in ("POST", "PATCH"):
            return 201 if key not in self.objects else 200, json.dumps(self._put(key, asked.body))
        if key not in self.objects:
            return 404, status(
                404,
                "NotFound",
                f'{asked.plural} "{asked.name}" not found',
                name=asked.name,
                kind=asked.plural,
            )
        found = self.objects[key]
        if asked.method == "DELETE":
            del self.objects[key]
        return 200, json.dumps(found)

    def _put(self, key: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        before = self.objects.get(
            key,
            {
                "metadata": {
                    "uid": str(uuid.uuid4()),
                    "creationTimestamp": f"2026-11-22T12:00:{len(self.asked):02}Z",
                }
            },
        )
        self.objects[key] = {
            **before,
            **body,
            "metadata": {**before["metadata"], **body["metadata"]},
        }
        return self.objects[key]

    def _selected(self, asked: Asked) -> Iterator[dict[str, Any]]:
        wanted, equals, value = asked.query.get("labelSelector", "").partition("=")
        for (plural, _), found in self.objects.items():
            labels = found["metadata"].get("labels", {})
            if plural == asked.plural and (
                not wanted or (labels.get(wanted) == value if equals else wanted in labels)
            ):
                yield found


@contextmanager
def simulated_api(folder: Path) -> Iterator[tuple[SimulatedApi, Path]]:
    """A simulated server, and the kubeconfig by which clients find it."""
    api = SimulatedApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            url = urlsplit(self.path)
            place = _PLACE.match(url.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if place is None or place["plural"] not in KINDS:
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
                )
                code, body = api.answer(asked, log=place["log"] is not None)
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
    """A kubeconfig with one cluster and one user."""
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
