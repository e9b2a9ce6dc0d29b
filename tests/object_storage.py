"""Simulate S3 on loopback with moto, including S3's conditional writes."""

import http.client
import importlib.util
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.integration.servers import free_port
from tests.waiting import wait_for_server


@contextmanager
def simulated_s3() -> Iterator[str]:
    """Yield the address of an empty folder in a bucket, in the form of `store.uri`:
    `s3://…?endpoint_override=…`.

    The server is a separate process: pyarrow calls it while holding the interpreter's lock.
    """
    if importlib.util.find_spec("moto") is None:
        pytest.skip("no simulated S3 here")
    port = free_port()
    with tempfile.NamedTemporaryFile(prefix="simulated-s3-", suffix=".log") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log
        )
        try:
            wait_for_server(server, lambda: _makes_bucket(port), Path(log.name))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AWS_ACCESS_KEY_ID", "key")
                patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
                yield f"s3://bucket/{uuid.uuid4().hex}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        finally:
            server.kill()
            server.wait()


def _makes_bucket(port: int) -> bool:
    """Return whether the server answers requests and has created the bucket."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("PUT", "/bucket")
            connection.getresponse()
    except OSError:
        return False
    return True
