"""Problems of a store are reported in seconds, before MLflow is imported."""

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.config.experiment import TrackingConfig
from orchestrator.errors import TrackingUnavailableError, UserInputError
from orchestrator.tracking import open_run
from orchestrator.tracking.preflight import check_reachable


class _AnswersWith(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def at(uri: str) -> TrackingConfig:
    """Return the store, with a spool next to its database."""
    return TrackingConfig(uri=uri, spool=Path(uri.removeprefix("sqlite:///")).parent / "spool")


@pytest.fixture(params=[200, 403])
def other_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """Return the address of a web server that is not MLflow's."""
    handler = type("Handler", (_AnswersWith,), {"status": request.param})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", request.param
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://me:secret@127.0.0.1:9/runs"])
def test_an_unreachable_store_is_reported_soon(uri: str) -> None:
    start = time.monotonic()
    with pytest.raises(
        TrackingUnavailableError, match=r"127\.0\.0\.1:9.*cannot be used.*start the store"
    ) as unavailable:
        open_run(at(uri), "experiment", "run", {})
    # MLflow itself would retry for some minutes
    assert time.monotonic() - start < 60
    assert unavailable.value.exit_code == 3
    assert "secret" not in str(unavailable.value)


def test_a_server_that_accepts_but_never_answers_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.tracking.preflight.ANSWER_SECONDS", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TrackingUnavailableError, match="timed out"),
    ):
        check_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_server_that_is_not_mlflows_is_a_user_error(other_server: tuple[str, int]) -> None:
    uri, status = other_server
    expected = {200: "not an MLflow server", 403: "refuses access.*MLFLOW_TRACKING_USERNAME"}[
        status
    ]
    with pytest.raises(UserInputError, match=expected):
        open_run(at(uri), "experiment", "run", {})


def test_a_file_that_is_no_database_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to have a header " * 20)
    with pytest.raises(UserInputError, match=r"notes\.txt: not a SQLite database"):
        open_run(at(f"sqlite:///{tmp_path}/notes.txt"), "experiment", "run", {})


def test_an_unwritable_path_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingUnavailableError, match="cannot be used"):
        open_run(at(f"sqlite:///{tmp_path}/file/mlflow.db"), "experiment", "run", {})


def test_a_locked_database_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.tracking.preflight.LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingUnavailableError, match="database is locked"):
            check_reachable(f"sqlite:///{tmp_path}/mlflow.db")
