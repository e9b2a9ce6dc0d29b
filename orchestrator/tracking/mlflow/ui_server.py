"""MLflow's server on this machine, for looking at runs: on loopback, and gone with the command that
started it.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from orchestrator.errors import TrackingUnavailableError, UserInputError
from orchestrator.masking import hide
from orchestrator.tracking.uris import artifact_root

LOOPBACK = "127.0.0.1"
START_SECONDS = 120.0  # usually about 10
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class UiServer:
    """A server that answers.

    Attributes:
        port: On which it listens.
        process: Leads a process group of its own.
        log: What the server prints.
        uri: The database.
    """

    port: int
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]
    uri: str = field(repr=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.port}"

    def experiments(self) -> list[dict[str, Any]]:
        """The active experiments as MLflow's REST interface gives them, without the empty one that
        MLflow makes itself.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=60)
        with contextlib.closing(connection):
            body = json.dumps({"max_results": 1000, "filter": "name != 'Default'"})
            connection.request(
                "POST",
                "/api/2.0/mlflow/experiments/search",
                body,
                {"Content-Type": "application/json"},
            )
            found: list[dict[str, Any]] = json.load(connection.getresponse()).get("experiments", [])
        return found

    def wait(self) -> None:
        """Return never: the server serves until this process is interrupted.

        Raises:
            TrackingUnavailableError: The server has ended.
        """
        self.process.wait()
        raise _ended(self.log, self.uri)


def free_port(port: int) -> int:
    """The port, on which nothing listens; for 0 one that the system chooses.

    Raises:
        UserInputError: It is in use, or not allowed to this user.
    """
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server: a port whose last user has just left is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            advice = (
                "end what listens there, or choose another port with --port (0 takes a free one)"
            )
            raise UserInputError(
                f"port {port} cannot be used ({error.strerror})", next_step=advice
            ) from None
        return int(probe.getsockname()[1])


@contextmanager
def ui_server(uri: str, port: int) -> Iterator[UiServer]:
    """Start the server, wait until it answers, and end it with all its processes.

    Args:
        uri: A database that exists, with a schema that the installed MLflow accepts.
        port: Where to listen, as from `free_port`.

    Raises:
        TrackingUnavailableError: The server ends at once, or does not answer within two minutes.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603
            _command(port), env=_environment(uri), stdout=log, stderr=log, start_new_session=True
        )
        try:
            server = UiServer(port, process, log, uri)
            _wait_for_answer(server)
            yield server
        finally:
            _end(process)


def _command(port: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--workers",
        "1",
    ]


def _environment(uri: str) -> dict[str, str]:
    # Not as arguments: every user of the machine sees those, and the URI may hold a password.
    store = {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(artifact_root(uri)),
    }
    defaults = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return defaults | dict(os.environ) | store


def _wait_for_answer(server: UiServer) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not _answers(server.port):
        if server.process.poll() is not None or time.monotonic() > give_up:
            raise _ended(server.log, server.uri)
        time.sleep(_POLL_SECONDS)


def _answers(port: int) -> bool:
    # Not with urllib: a proxy that is set for the web is no way to this machine.
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _ended(log: IO[bytes], uri: str) -> TrackingUnavailableError:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return TrackingUnavailableError(
        f"the MLflow server does not answer: {hide(lines[-1], uri) if lines else 'it said nothing'}"
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also on a second Ctrl-C, and for workers that outlive their leader.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
