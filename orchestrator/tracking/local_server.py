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
START_SECONDS = 120.0  # a server usually needs about 10 s to start
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Program:
    """A web server program: how to start it, and how to check that it answers.

    Attributes:
        name: Name of the server in error messages.
        command: Program and arguments; every user of the machine can see them.
        environment: Environment variables of the server's process.
        health: URL path that answers with status 200 once the server is ready.
        uri: Address of the database that the server shows. Error messages mask the password in
            this address.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    health: str
    uri: str = field(repr=False)


@dataclass(frozen=True)
class LocalServer:
    """A running web server on the loopback interface.

    Attributes:
        program: The server's program.
        port: Port on which the server listens.
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
        """Send an HTTP request to the server, and return the JSON value that the server answers."""
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
        """Return the error for a server that has ended, with the last line of its output."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        reason = hide(lines[-1], self.program.uri) if lines else "it printed nothing"
        return TrackingUnavailableError(f"{self.program.name} does not answer: {reason}")


def wait_for_ever(servers: Sequence[LocalServer]) -> None:
    """Wait until this process is interrupted or one of the servers ends.

    Raises:
        TrackingUnavailableError: A server has ended.
    """
    while True:
        for server in servers:
            server.check()
        time.sleep(_POLL_SECONDS)


def free_port(port: int, option: str = "--port") -> int:
    """Return the number of a port on which no program listens.

    Args:
        port: Number of the requested port; 0 lets the operating system choose a free port.
        option: Command-line option that chooses the port, for the error message.

    Raises:
        UserInputError: The port is in use, or this user is not allowed to use it.
    """
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # with SO_REUSEADDR, which servers also set, a port released a moment ago counts as free
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
    """Start a web server, wait until it answers, and end the server after the `with` block.

    All processes that the server has started end too.

    Args:
        program: The server to run.
        port: Port on which the server listens, from `free_port`.

    Raises:
        TrackingUnavailableError: The server ends before it answers, or does not answer within two
            minutes.
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
    # Use http.client: urllib would send the request to a configured web proxy, which cannot reach
    # this machine.
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
        # Kill the whole process group, even after a second Ctrl-C: the server's worker processes
        # may still run after the server's main process has ended.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
