"""Follow a job's state and output until the job is over.

The API is polled, because polling survives interruptions of the connection, unlike a stream.
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
# Following stops after this time without an answer of the API. The job continues.
_PATIENCE_SECONDS = 300.0
_OVERLAP_SECONDS = 30
# Time for which reading the last output of an ended job is retried. A lost node may come back, but
# the caller should not wait long, because the job's result is already known.
_LAST_OUTPUT_SECONDS = 20.0


class JobListener(Protocol):
    """Receives the events of a job while the job is followed."""

    def state_changed(self, state: JobState) -> None:
        """Receive the new state of the job."""

    def said(self, line: str) -> None:
        """Receive one line of the job's output."""

    def warned(self, text: str) -> None:
        """Receive a warning about a problem with following the job."""


def follow(client: KubernetesClient, name: str, listener: JobListener) -> JobState:
    """Follow a job until it is over, and return its final state.

    The job's state and the job's output are read separately. So state changes are reported even if
    the output cannot be read.

    Raises:
        UserInputError: The job was cancelled.
        LoginRequiredError: The user's login has expired; the job continues.
        RightMissingError: The user may no longer see the job; the job continues.
        TransientError: The Kubernetes API did not answer for minutes; the job continues.
        InterruptedRunError: Ctrl-C was pressed; the job continues.
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
            f"the job continues: `orchestrator status {name}` shows it,"
            f" `orchestrator cancel {name}` ends it"
        )
        raise InterruptedRunError("stopped following", name, advice) from None


def _state(client: KubernetesClient, name: str, answered: float) -> JobState | None:
    """Return the job's state; None if a transient problem prevents reading the state.

    Args:
        client: Client of the job's namespace.
        name: Name of the job.
        answered: Time of the API's last answer, on the monotonic clock.
    """
    try:
        job = client.get("RayJob", name)
    except LoginRequiredError as error:
        advice = (
            "the job continues: log in again, so that `kubectl get pods` works; then `orchestrator"
            f" status {name}` shows it, and the same `submit` follows it again"
        )
        raise LoginRequiredError(error.what, error.where, advice) from None
    # For some seconds after its start, an API server rejects every user for missing rights. This
    # user had the rights when the job was submitted, so the error may be transient.
    except (TransientError, RightMissingError) as error:
        if time.monotonic() - answered > _PATIENCE_SECONDS:
            raise type(error)(
                error.what, error.where, f"the job continues: `orchestrator status {name}`"
            ) from None
        return None
    if job is None:
        raise UserInputError(
            "was cancelled", name, "submit the job again to reuse its finished stages"
        )
    return JobState.of(job)


class _Output:
    """Reads the output of a job's command from the log of KubeRay's submitter pod.

    The submitter pod passes the command to Ray and prints the command's output. The pod is part of
    a batch Job that has the RayJob's name.
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
        """Pass new lines to the listener.

        If reading fails, warn once, and not again until reading has succeeded in between.

        Args:
            since: Creation time of the job; None includes all pods. Older pods are ignored: they
                were created for the previous job of this name, and may take time to disappear.
        """
        self._since = since
        try:
            for line in self._new_lines():
                self._listener.said(line)
        except (TransientError, UserInputError) as error:
            if self._trouble is None:
                self._listener.warned(f"the job's output cannot be shown: {error}")
            self._trouble = error
        else:
            self._trouble, self._was_read = None, True

    def finish(self) -> None:
        """Retry reading the last output for a short time, and warn if it cannot be read.

        The warning says where to find the output. Ctrl-C ends the retries without an error, because
        the job is over.
        """
        deadline = time.monotonic() + _LAST_OUTPUT_SECONDS
        with suppress(KeyboardInterrupt):
            while self._may_pass() and time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                self.read(self._since)
        if self._may_pass():
            self._listener.warned(
                "the end of the job's output could not be read: see"
                f" `kubectl logs job/{self._name}`"
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
    """Return a Kubernetes timestamp, such as `…:09.66Z`, as a pair of texts that sorts by time.

    The fraction is padded with zeros, because `.66Z` would otherwise sort after `.669Z`.
    """
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
