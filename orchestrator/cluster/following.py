"""Follow a job's state and output until it is over, by polling, which survives interruptions that
break a stream.
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
# If the API does not answer for longer, following stops; the job continues.
_PATIENCE_SECONDS = 300.0
_OVERLAP_SECONDS = 30
# A lost node may come back, but the result is known and the caller should not wait long.
_LAST_OUTPUT_SECONDS = 20.0


class JobListener(Protocol):
    """Receives the events of a job while it is followed."""

    def state_changed(self, state: JobState) -> None:
        """Receive the new state of the job."""

    def said(self, line: str) -> None:
        """Receive one line of its output."""

    def warned(self, text: str) -> None:
        """Receive a warning about following the job."""


def follow(client: KubernetesClient, name: str, listener: JobListener) -> JobState:
    """Follow a job until it is over, and return its final state.

    Its output is read separately from its state: a log that cannot be read delays nothing else.

    Raises:
        UserInputError: The job was cancelled.
        LoginRequiredError: The user's login has expired; the job continues.
        RightMissingError: The user may no longer see it; the job continues.
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
    """Return the job's state; None if the API has a problem that may pass.

    Args:
        client: Client of its namespace.
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
    # For some seconds after its start, a server knows no user's rights; this user had the rights
    # when the job was sent.
    except (TransientError, RightMissingError) as error:
        if time.monotonic() - answered > _PATIENCE_SECONDS:
            raise type(error)(
                error.what, error.where, f"the job continues: `orchestrator status {name}`"
            ) from None
        return None
    if job is None:
        raise UserInputError("was cancelled", name, "submit it again to reuse its finished stages")
    return JobState.of(job)


class _Output:
    """The output of the job's command: KubeRay's submitter, the pod of a Job with the RayJob's
    name, prints it again.
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
        """Pass new lines to the listener. A failure to read them only causes one warning until
        reading works again.

        Args:
            since: Creation of the job. Older pods belong to the previous job of this name, and may
                take time to disappear; None includes all.
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
        """Retry output that could not be read, for a moment, and otherwise say where to find it.

        Ctrl-C ends the retries, because the job is over.
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
    """Return a timestamp of Kubernetes, such as `…:09.66Z`, with all digits, so that texts sort by
    time (as text, `.66Z` comes after `.669Z`).
    """
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
