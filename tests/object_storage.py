"""A simulated S3 on loopback (moto), with conditional writes as S3 has them: what stands in for
object storage here.
"""

import http.client
import importlib.util
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.integration.servers import START_SECONDS, free_port


@contextmanager
def simulated_s3() -> Iterator[str]:
    """The address of an empty folder in a bucket, as `store.uri` takes it:
    `s3://…?endpoint_override=…`.

    A process of its own: pyarrow asks it while it holds the interpreter's lock.
    """
    if importlib.util.find_spec("moto") is None:
        pytest.skip("no simulated S3 here")
    port = free_port()
    nowhere = subprocess.DEVNULL
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=nowhere, stderr=nowhere
    )
    try:
        _make_bucket(port)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            yield f"s3://bucket/{uuid.uuid4().hex}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        server.kill()
        server.wait()


def _make_bucket(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                connection.request("PUT", "/bucket")
                connection.getresponse()
                return
        except OSError:
            assert time.monotonic() < deadline, "the simulated S3 did not start"
            time.sleep(0.2)
