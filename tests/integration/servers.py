"""Real servers on loopback for tests and benchmarks: MLflow's, and PostgreSQL's."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, wait_for_server


def free_port() -> int:
    """Return a port on which nothing listens now."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class MlflowServer:
    """`mlflow server` as a team runs it; it can be killed and restarted on the same port."""

    def __init__(self, backend_uri: str, folder: Path) -> None:
        self.backend_uri = backend_uri
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers; end the remains of an earlier one first."""
        self.kill()
        store = [
            "--backend-store-uri",
            self.backend_uri,
            "--artifacts-destination",
            (self.folder / "artifacts").as_uri(),
        ]
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *store,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        environment = os.environ | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        log_file = self.folder / "server.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        wait_for_server(self._process, self.answers, log_file)

    def answers(self) -> bool:
        """Return whether the server answers requests."""
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=10).close()  # noqa: S310 - our own server
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill the server and its workers at once, as when a node dies."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def mlflow_server(backend_uri: str, folder: Path) -> Iterator[MlflowServer]:
    """Yield a running server, and kill it at the end."""
    server = MlflowServer(backend_uri, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def postgres_programs() -> Path | None:
    """Return Debian's folder of PostgreSQL programs; None if it is not installed."""
    on_path = shutil.which("pg_ctl")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return Path(on_path).parent if on_path else found[-1].parent if found else None


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the URI of an empty database on a new server, which ends with the context."""
    programs = postgres_programs()
    assert programs is not None
    data, port = folder / "data", free_port()
    # PostgreSQL refuses to run as root: there it runs as Debian's user for it.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        for parent in folder.parents:
            parent.chmod(
                parent.stat().st_mode | 0o111
            ) if parent.owner() == "root" and parent != Path("/") else None

    def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(programs / program), "-D", str(data), *arguments],
            check=False,
            capture_output=True,
            text=True,
            user=user,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    made = run("initdb", "-U", "mlflow", "--auth=trust", "--no-sync")
    assert made.returncode == 0, made.stderr
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    # pg_ctl waits until the server answers, or its process has ended
    waiting, log = ("-w", "-t", f"{PATIENCE_SECONDS:.0f}"), folder / "log"
    started = run("pg_ctl", "-l", str(log), "-o", options, *waiting, "start")
    assert started.returncode == 0, f"{started.stderr}{log.read_text() if log.exists() else ''}"
    try:
        yield f"postgresql://mlflow@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", *waiting, "stop")  # the server may have ended by itself
