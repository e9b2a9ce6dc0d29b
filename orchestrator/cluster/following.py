"""Following a job: its state and its output, until it is over. Asking again and again survives what
breaks a stream.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from orchestrator.cluster.client import KubernetesClient
from orchestrator.cluster.job_states import JobState
from orchestrator.errors import (
    InterruptedRunError,
    LoginRequiredError,
    OrchestratorError,
    RightMissingError,
    TransientError,
    UserInputError,
)

_PAUSE_SECONDS = 2.0
# A cluster whose API is away for longer is left alone; the job does not mind.
_PATIENCE_SECONDS = 300.0
_OVERLAP_SECONDS = 30
# A node that is away may come back; whoever waits for the end has it already.
_LAST_OUTPUT_SECONDS = 20.0


class JobListener(Protocol):
    """Receive the events of a job while it is followed."""

    def state_changed(self, state: JobState) -> None:
        """Receive the new state of the job."""

    def said(self, line: str) -> None:
        """Receive one line of its output."""

    def warned(self, text: str) -> None:
        """Receive a problem in following it."""


def follow(client: KubernetesClient, name: str, listener: JobListener) -> JobState:
    """Return when the job is over.

    Its output is read apart from its state: a log that cannot be read delays nothing but itself.

    Raises:
        UserInputError: Somebody has cancelled it.
        LoginRequiredError: The user's login has expired; the job goes on.
        RightMissingError: The user may not see it any more; the job goes on.
        TransientError: The Kubernetes API was away for minutes; the job goes on.
        InterruptedRunError: Ctrl-C; the job goes on.
    """
    output, last, answered = _Output(client, name, listener), None, time.monotonic()
    try:
        while True:
            state = _state(client, name, answered)
            if state is None:
                time.sleep(_PAUSE_SECONDS)
                continue
            answered = time.monotonic()
            if state.phase in ("Running", "Complete", "Failed"):
                output.read(state.created)
            if last is None or replace(state, message="") != replace(last, message=""):
                listener.state_changed(state)
                last = state
            if state.is_over:
                output.finish()
                return state
            time.sleep(_PAUSE_SECONDS)
    except KeyboardInterrupt:
        advice = (
            f"the job goes on: `orchestrator status {name}` shows it, `orchestrator cancel {name}`"
            " ends it"
        )
        raise InterruptedRunError("stopped following", name, advice) from None


def _state(client: KubernetesClient, name: str, answered: float) -> JobState | None:
    """Return the job's state; None where the API is in trouble, which may pass.

    Args:
        client: Of its namespace.
        name: Of the job.
        answered: When the API answered last, of the monotonic clock.
    """
    try:
        job = client.get("RayJob", name)
    except LoginRequiredError as error:
        advice = (
            "the job goes on: log in again, so that `kubectl get pods` works; `orchestrator status"
            f" {name}` shows it then, and the same `submit` follows it again"
        )
        raise LoginRequiredError(error.what, error.where, advice) from None
    # A server that has just started knows for some seconds of nobody's rights; this user had his
    # when the job was sent.
    except (TransientError, RightMissingError) as error:
        if time.monotonic() - answered > _PATIENCE_SECONDS:
            raise type(error)(
                error.what, error.where, f"the job goes on: `orchestrator status {name}`"
            ) from None
        return None
    if job is None:
        raise UserInputError("was cancelled", name, "submit it again to go on from what is stored")
    return JobState.of(job)


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
        self._trouble: OrchestratorError | None = None
        self._was_read = False
        self._since: datetime | None = None

    def read(self, since: datetime | None) -> None:
        """Hand on the lines that are new. The job can be followed without: of each stretch of
        trouble one warning tells.

        Args:
            since: When the job was made. Older pods are of the job before of this name, and take
                their time to go; None shows all.
        """
        self._since = since
        try:
            for line in self._new_lines():
                self._listener.said(line)
        except (TransientError, UserInputError) as error:
            if self._trouble is None:
                self._listener.warned(f"its output cannot be shown: {error}")
            self._trouble = error
        else:
            self._trouble, self._was_read = None, True

    def finish(self) -> None:
        """Read once more what could not be read, for a moment, and say where it is otherwise.

        Ctrl-C ends the waiting: the job is over.
        """
        deadline = time.monotonic() + _LAST_OUTPUT_SECONDS
        with suppress(KeyboardInterrupt):
            while self._may_pass() and time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                self.read(self._since)
        if self._may_pass():
            self._listener.warned(
                f"the end of its output could not be read: see `kubectl logs job/{self._name}`"
            )

    def _may_pass(self) -> bool:
        return isinstance(self._trouble, TransientError) or (
            isinstance(self._trouble, RightMissingError) and self._was_read
        )

    def _new_lines(self) -> Iterator[str]:
        for pod in self._client.pods_of_job(self._name, self._since):
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
