"""Run a web server on this machine's loopback interface until the command that needs it ends."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from orchestrator.errors import TrackingUnavailableError, UserInputError
from orchestrator.masking import hide

LOOPBACK = "127.0.0.1"
START_SECONDS = 120.0  # a server usually starts in about 10 s
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Program:
    """A server to run.

    Attributes:
        name: Name for messages.
        command: Program and arguments; every user of the machine can see them.
        environment: Environment variables.
        health: Path of the URL that answers once the server is up.
        uri: Address of the database that the server shows; messages mask its password.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    health: str
    uri: str = field(repr=False)


@dataclass(frozen=True)
class LocalServer:
    """A running server.

    Attributes:
        program: The server's program.
        port: Port on which it listens.
        process: The server's process, which leads its own process group.
        log: File with the server's output.
    """

    program: Program
    port: int
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"http://{LOOPBACK}:{self.port}"

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - plain JSON values
        """Send an HTTP request to the server, and return the JSON of its answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=60)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            return json.load(connection.getresponse())

    def check(self) -> None:
        """Check that the server is running.

        Raises:
            TrackingUnavailableError: The server has ended.
        """
        if self.process.poll() is not None:
            raise self.ended()

    def ended(self) -> TrackingUnavailableError:
        """Return the error for a server that has ended, with its last line of output."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        reason = hide(lines[-1], self.program.uri) if lines else "it printed nothing"
        return TrackingUnavailableError(f"{self.program.name} does not answer: {reason}")


def wait_for_ever(servers: Sequence[LocalServer]) -> None:
    """Wait until this process is interrupted, while servers run.

    Raises:
        TrackingUnavailableError: A server has ended.
    """
    while True:
        for server in servers:
            server.check()
        time.sleep(_POLL_SECONDS)


def free_port(port: int, option: str = "--port") -> int:
    """Return the port if nothing listens on it; for 0, one that the system chooses.

    Args:
        port: The requested port.
        option: Command-line option that chooses the port, for messages.

    Raises:
        UserInputError: The port is in use, or not allowed for this user.
    """
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does: with this option, a port that was just released counts as free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            advice = (
                "end the program that uses the port, or choose another port with"
                f" {option} (0: any free)"
            )
            raise UserInputError(
                f"port {port} cannot be used ({error.strerror})", next_step=advice
            ) from None
        return int(probe.getsockname()[1])


@contextmanager
def local_server(program: Program, port: int) -> Iterator[LocalServer]:
    """Start the server, wait until it answers, and finally end it with all its processes.

    Args:
        program: The server to run.
        port: Port to listen on, from `free_port`.

    Raises:
        TrackingUnavailableError: The server ends at once or does not answer within two minutes.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - commands of this package
            program.command,
            env=program.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            server = LocalServer(program, port, process, log)
            _wait_for_answer(server)
            yield server
        finally:
            _end(process)


def _wait_for_answer(server: LocalServer) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not _answers(server):
        if server.process.poll() is not None or time.monotonic() > give_up:
            raise server.ended()
        time.sleep(_POLL_SECONDS)


def _answers(server: LocalServer) -> bool:
    # urllib would use a configured web proxy, which does not lead to this machine.
    connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", server.program.health)
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Runs also after a second Ctrl-C, and ends workers that outlive the group's leader.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
