"""Following a job: its state and its output, until it is over. Asking again and again survives what
breaks a stream.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from orchestrator.cluster.client import KubernetesClient
from orchestrator.cluster.job_states import JobState
from orchestrator.errors import InterruptedRunError, TransientError, UserInputError

_PAUSE_SECONDS = 2.0
# A cluster whose API is away for longer is left alone; the job does not mind.
_PATIENCE_SECONDS = 300.0
_OVERLAP_SECONDS = 30


class JobListener(Protocol):
    """Receive the events of a job while it is followed."""

    def state_changed(self, state: JobState) -> None:
        """Receive the new state of the job."""

    def said(self, line: str) -> None:
        """Receive one line of its output."""

    def warned(self, text: str) -> None:
        """Receive a problem in following it."""


def follow(client: KubernetesClient, name: str, listener: JobListener) -> JobState:
    """Returns when the job is over.

    Raises:
        UserInputError: Somebody has cancelled it.
        TransientError: The Kubernetes API was away for minutes; the job goes on.
        InterruptedRunError: Ctrl-C; the job goes on.
    """
    output, last, answered = _Output(client, name, listener), None, time.monotonic()
    try:
        while True:
            try:
                job = client.get("RayJob", name)
                state = JobState.of(job) if job else None
                if state and state.phase in ("Running", "Complete", "Failed"):
                    output.read()
                answered = time.monotonic()
            except TransientError as error:
                if time.monotonic() - answered > _PATIENCE_SECONDS:
                    raise type(error)(
                        error.what, error.where, f"the job goes on: `orchestrator status {name}`"
                    ) from None
                time.sleep(_PAUSE_SECONDS)
                continue
            if state is None:
                raise UserInputError(
                    "was cancelled", name, "submit it again to go on from what is stored"
                )
            if last is None or replace(state, message="") != replace(last, message=""):
                listener.state_changed(state)
                last = state
            if state.is_over:
                return state
            time.sleep(_PAUSE_SECONDS)
    except KeyboardInterrupt:
        advice = (
            f"the job goes on: `orchestrator status {name}` shows it, `orchestrator cancel {name}`"
            " ends it"
        )
        raise InterruptedRunError("stopped following", name, advice) from None


class _Output:
    """What the job's command prints: KubeRay's submitter prints it once more, as the pod of a Job
    of the RayJob's name.
    """

    def __init__(self, client: KubernetesClient, name: str, listener: JobListener) -> None:
        self._client = client
        self._name = name
        self._listener = listener
        self._last: dict[str, tuple[str, str]] = {}
        self._asked: dict[str, float] = {}
        self._is_readable = True

    def read(self) -> None:
        """Hands on the lines that are new."""
        if self._is_readable:
            try:
                for line in self._new_lines():
                    self._listener.said(line)
            except UserInputError as error:  # the job can be followed without
                self._is_readable = False
                self._listener.warned(f"its output cannot be shown: {error}")

    def _new_lines(self) -> Iterator[str]:
        for pod in self._client.pods_of_job(self._name):
            now, before = time.monotonic(), self._asked.get(pod)
            text = self._client.log(
                pod, None if before is None else math.ceil(now - before) + _OVERLAP_SECONDS
            )
            last = self._last.get(pod, ("", ""))
            for line in text.splitlines():
                stamp, _, content = line.partition(" ")
                moment = _sortable(stamp)
                if moment > last:
                    self._last[pod] = max(moment, self._last.get(pod, last))
                    yield content
            if text:
                self._asked[pod] = now


def _sortable(stamp: str) -> tuple[str, str]:
    """A time as Kubernetes writes it, `…:09.66Z`, with all digits: as text, `.66Z` would come after
    `.669Z`.
    """
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
