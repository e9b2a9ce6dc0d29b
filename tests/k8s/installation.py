"""Simulate the namespace in tests: run the workloads' commands and settings as processes on this
machine, with local Secrets.
"""

import os
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from tests.k8s.rendering import K8S, Object, named, pod_template, render
from tests.waiting import PATIENCE_SECONDS, wait_for_server

PASSWORDS = {
    ("mlflow-database", "password"): "not used, as this server trusts",
    ("studies", "PGPASSWORD"): "studies-for-tests",
    ("mlflow-server", "flask-secret-key"): "for tests",
    ("mlflow-server", "admin-username"): "admin",
    ("mlflow-server", "admin-password"): "admin-for-tests",
}
SCRIPTS = K8S / "base" / "scripts"


def environment_of(kind: str, name: str) -> dict[str, str]:
    """Return the variables of a workload's container, with local Secrets."""
    objects = render("local", "dashboard")
    container = container_of(kind, name)
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"].rpartition("-")[0])[
            "data"
        ]
    for variable in container.get("env", []):
        secret = variable.get("valueFrom", {}).get("secretKeyRef")
        found[variable["name"]] = (
            PASSWORDS[secret["name"], secret["key"]] if secret else variable["value"]
        )
    return found


def container_of(kind: str, name: str) -> Object:
    """Return a workload's container."""
    template = pod_template(named(render("local", "dashboard"), kind, name))
    assert template is not None
    container: Object = template["spec"]["containers"][0]
    return container


@dataclass
class Installation:
    """Simulated namespace.

    Attributes:
        programs: The environment of the server's image.
        folder: The folder that replaces its volumes.
        database: The address of PostgreSQL, in libpq's variables.
        port: The port of the server.
    """

    programs: Path
    folder: Path
    database: dict[str, str]
    port: int

    @property
    def uri(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, kind: str, name: str) -> dict[str, str]:
        """Return the environment of a workload's container, with local paths and addresses."""
        path = {
            "PATH": f"{self.programs / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "MLFLOW_AUTH_CONFIG_PATH": str(self.ini),
        }
        places = {
            "MLFLOW_ARTIFACTS_DESTINATION": str(self.folder / "artifacts"),
            "BACKUPS": str(self.folder / "backups"),
        }
        return environment_of(kind, name) | self.database | path | places

    @property
    def ini(self) -> Path:
        """Return the ConfigMap's file."""
        return self.folder / "basic_auth.ini"

    def run(
        self, workload: tuple[str, str], *command: str, stdin: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as in a workload's container."""
        environment = self.environment(*workload) | variables
        return subprocess.run(
            command,
            env=environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def add_user(self, name: str, password: str) -> "subprocess.CompletedProcess[str]":
        """Add a user, as README does with `kubectl exec`."""
        command = ("python", str(SCRIPTS / "add_user.py"), name)
        return self.run(
            ("Deployment", "mlflow"), *command, stdin=password, MLFLOW_TRACKING_URI=self.uri
        )

    def status(self, path: str, host: str = "mlflow:5000", user: str = "") -> int:
        """Return the HTTP status of a request."""
        headers = {"Host": host} | (
            {"Authorization": f"Basic {b64encode(user.encode()).decode()}"} if user else {}
        )
        try:
            answer = urllib.request.urlopen(  # noqa: S310 - our own
                urllib.request.Request(self.uri + path, headers=headers),  # noqa: S310
                timeout=PATIENCE_SECONDS,
            )
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        answer.close()
        return int(answer.status)


def start_mlflow(here: Installation) -> "subprocess.Popen[bytes]":
    """Start the server with the Deployment's command, on a local port."""
    container = container_of("Deployment", "mlflow")
    [listening] = [str(port["containerPort"]) for port in container["ports"]]
    command = [
        str(here.port) if word == listening else word
        for word in [*container["command"], *container["args"]]
    ]
    assert str(here.port) in command, (
        "the server listens on another port than the one that is declared"
    )
    environment = here.environment("Deployment", "mlflow")
    with (here.folder / "log").open("wb") as log:
        program = [str(here.programs / "bin" / command[0]), *command[1:]]
        return subprocess.Popen(
            program,
            env=environment,
            cwd=here.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_for_mlflow(here: Installation, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the Deployment's probe would consider the server started."""
    path = container_of("Deployment", "mlflow")["startupProbe"]["httpGet"]["path"]

    def is_started() -> bool:
        try:
            return here.status(path) == 200
        except OSError:
            return False

    wait_for_server(process, is_started, here.folder / "log")
