"""A simulated S3 on loopback (moto), with conditional writes as S3 has them: what stands in for object storage here."""

import http.client
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest


@contextmanager
def simulated_s3() -> Iterator[str]:
    """The address of an empty folder in a bucket, as `store.uri` takes it: `s3://…?endpoint_override=…`."""
    server = pytest.importorskip("moto.server", reason="no simulated S3 here").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with closing(http.client.HTTPConnection(host, port)) as connection:
            connection.request("PUT", "/bucket")
            connection.getresponse()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            # moto keeps its buckets for as long as the process lives
            yield f"s3://bucket/{uuid.uuid4().hex}?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    finally:
        server.stop()
