"""Simulate S3 (moto), count requests by kind, and delay or fail them on demand; a server process
for `object_store.py`.

    POST /-/reset?latency=0.1&errors=0.01    reset counts; set delay in seconds, share of failures
    POST /-/fill?root=FOLDER&artifacts=N     add artifacts up to this number
    GET  /-/counts                           requests by kind, and injected failures

The server builds object listings itself, in pages of a thousand keys as S3 does: moto takes seconds
for a page of a hundred thousand.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, run_simple

ACCOUNT, BUCKET = "123456789012", "bucket"
TENSORS = b"0" * 256
Answer = Iterable[bytes]


class CountingS3:
    """Count each request, then pass it to moto."""

    def __init__(self) -> None:
        """Start without delay and failures."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._random = random.Random(0)  # noqa: S311 - no secrets
        self._counts: Counter[str] = Counter()
        self._latency = self._errors = 0.0
        self._sorted: list[str] | None = None  # sorted names of objects; None after a change

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
        """Answer one request."""
        path = environ["PATH_INFO"]
        if path.startswith("/-/"):
            wanted = {key: own[0] for key, own in parse_qs(environ["QUERY_STRING"]).items()}
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(getattr(self, path[3:])(**wanted)).encode()]
        with self._lock:
            self._counts[kind_of(environ)] += 1
            fails = self._random.random() < self._errors
            self._counts["failed on purpose"] += fails
        time.sleep(self._latency)
        if fails:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Length", "0")])
            return []
        if kind_of(environ) == "LIST":
            query = {key: own[0] for key, own in parse_qs(environ["QUERY_STRING"]).items()}
            page = self._page(query).encode()
            head = [("Content-Type", "application/xml"), ("Content-Length", str(len(page)))]
            start("200 OK", head)
            return [page]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            self._sorted = None
        answer: Answer = self._moto(environ, start)
        return answer

    def _page(self, query: dict[str, str]) -> str:
        """Return a page of ListObjectsV2; for a prefix with one subfolder, that folder alone."""
        keys, prefix = s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys, query.get("prefix", "")
        names = self._sorted = self._sorted or sorted(keys)
        most, found = int(query.get("max-keys", 1000)), 0
        place = bisect_left(names, query.get("continuation-token") or prefix)
        parts: list[str] = []
        while place < len(names) and names[place].startswith(prefix) and found < most:
            name, found = names[place], found + 1
            folder, slash, _ = name[len(prefix) :].partition(query.get("delimiter") or "\0")
            if slash:
                parts.append(f"<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>")
                place = bisect_left(names, f"{prefix}{folder}0")  # after all of "folder/"
                continue
            parts.append(
                f"<Contents><Key>{name}</Key><LastModified>{keys[name].last_modified_ISO8601}"
                f"</LastModified><ETag>{keys[name].etag}</ETag><Size>{keys[name].size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
            place += 1
        has_more = place < len(names) and names[place].startswith(prefix)
        token = f"<NextContinuationToken>{names[place]}</NextContinuationToken>" if has_more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><KeyCount>{found}</KeyCount>"
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(has_more).lower()}</IsTruncated>{token}"
            f"{''.join(parts)}</ListBucketResult>"
        )

    def reset(self, latency: str = "0", errors: str = "0") -> dict[str, float]:
        """Reset the counts."""
        with self._lock:
            self._counts.clear()
            self._latency, self._errors = float(latency), float(errors)
        return {}

    def counts(self) -> dict[str, int]:
        """Return the requests since `reset`."""
        with self._lock:
            return dict(self._counts)

    def fill(self, root: str, artifacts: str) -> dict[str, int]:
        """Add artifacts with synthetic keys in a store's layout, directly and not over the
        network.
        """
        backend = s3_backends[ACCOUNT]["aws"]
        self._sorted = None
        digest = hashlib.sha256(TENSORS).hexdigest()
        manifest = json.dumps({"sha256": digest, "values": {}}).encode()
        for number in range(int(artifacts)):
            key = f"{root}/{hashlib.sha256(str(number).encode()).hexdigest()}"
            if f"{key}/manifest.json" not in backend.buckets[BUCKET].keys:
                backend.put_object(BUCKET, f"{key}/{digest}.safetensors", TENSORS)
                backend.put_object(BUCKET, f"{key}/manifest.json", manifest)
        return {"objects": len(backend.buckets[BUCKET].keys)}


def kind_of(environ: dict[str, Any]) -> str:
    """Return the kind of a request: LIST with its folder, GET with its object."""
    method = str(environ["REQUEST_METHOD"])
    is_list = method == "GET" and "list-type" in environ["QUERY_STRING"]
    return "LIST" if is_list else method


if __name__ == "__main__":
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    run_simple("127.0.0.1", int(sys.argv[1]), CountingS3(), threaded=True)
