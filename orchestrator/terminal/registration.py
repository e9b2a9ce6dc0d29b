"""Show the teacher and the student that were registered in the MLflow model registry."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from orchestrator.pipelines.registration.register import Registration


def registration_lines(done: Registration) -> Iterator[str]:
    """Yield a line for each registered model version, then a line with the aliases, and a command
    that predicts with the student.
    """
    for version in done.versions.values():
        already = "" if version.is_new else " (registered before)"
        page = f", {version.url}" if version.url else ""
        yield f"{version.model} version {version.version}{already}{page}"
    if done.aliases:
        yield f"aliases of both: {', '.join(done.aliases)}"
    student = done.versions["student"]
    place = f"@{done.aliases[0]}" if done.aliases else f"/{student.version}"
    reference = shlex.quote(f"models:/{student.model}{place}")
    yield f"to predict: orchestrator predict {reference} IMAGES"
