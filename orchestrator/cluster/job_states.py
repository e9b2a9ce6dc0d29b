"""Read the state of a job from the status of its RayJob. KubeRay updates this status."""

from __future__ import annotations

import re
import shlex
import signal
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from orchestrator.cluster.names import KIND_LABEL, RAY_CRON_JOB_LABEL, SCHEDULE_LABEL, Manifest
from orchestrator.errors import (
    ClusterUnavailableError,
    InterruptedRunError,
    OrchestratorError,
    UserInputError,
)

_EXIT_CODE = re.compile(r"exit code (\d+)")
_OF_THE_PROGRAM = (
    OrchestratorError.exit_code,
    UserInputError.exit_code,
    ClusterUnavailableError.exit_code,
    InterruptedRunError.exit_code,
)
_WORDS = {
    "": "accepted",
    "Initializing": "waiting for its pods",
    "Waiting": "waiting",
    "Running": "running",
    "Retrying": "trying again on a new cluster",
    "Suspending": "being suspended",
    "Suspended": "waiting in its queue",
    "Complete": "finished",
    "Failed": "failed",
    "ValidationFailed": "refused by KubeRay",
}


@dataclass(frozen=True)
class JobState:
    """State of a job.

    Attributes:
        name: Name of the RayJob.
        kind: run, sweep or retrain; empty if unknown.
        schedule: Schedule that started the job; empty if no schedule started it.
        phase: Phase of the job, in KubeRay's terms.
        outcome: Result of the command, in Ray's terms; empty before the command ends.
        reason: Reason for a failure, in KubeRay's terms.
        message: KubeRay's full message about the failure.
        num_failed: Number of failed attempts.
        ray_cluster: The Ray cluster of the current attempt.
        started: Start of the current attempt; None before it starts.
        ended: End of the current attempt; None before it ends.
        created: Creation of the RayJob, before all attempts; None if unknown.
        folder: Output folder of the command; empty if unknown. The folder does not depend on the
            name of the RayJob: a job that is submitted again with other limits uses the same
            folder.
    """

    name: str
    kind: str
    schedule: str
    phase: str
    outcome: str
    reason: str
    message: str
    num_failed: int
    ray_cluster: str
    started: datetime | None
    ended: datetime | None
    created: datetime | None
    folder: str

    @classmethod
    def of(cls, job: Manifest) -> JobState:
        """Return the state of a RayJob."""
        status, labels = job.get("status", {}), job["metadata"].get("labels", {})
        return cls(
            job["metadata"]["name"],
            labels.get(KIND_LABEL, ""),
            labels.get(SCHEDULE_LABEL) or labels.get(RAY_CRON_JOB_LABEL, ""),
            status.get("jobDeploymentStatus", ""),
            status.get("jobStatus", ""),
            status.get("reason", ""),
            status.get("message", ""),
            status.get("failed", 0),
            status.get("rayClusterName", ""),
            _moment(status.get("startTime")),
            _moment(status.get("endTime")),
            _moment(job["metadata"].get("creationTimestamp")),
            _folder(job.get("spec", {}).get("entrypoint", "")),
        )

    @property
    def is_over(self) -> bool:
        """Return whether the job is over. The phase is `Failed` only after the last retry."""
        return self.phase in ("Complete", "Failed", "ValidationFailed")

    @property
    def exit_code(self) -> int:
        """Return the exit code of the job's command; 0 while the job runs and after it succeeded.

        If the command has no exit code, return a code that describes how the job ended.
        """
        if not self.is_over or self.outcome == "SUCCEEDED":
            return 0
        if self.outcome == "STOPPED":
            return InterruptedRunError.exit_code
        if self.phase == "ValidationFailed":
            return UserInputError.exit_code
        if self.reason == "AppFailed" or self.outcome == "FAILED":
            code = self._command_code
            return code if code in _OF_THE_PROGRAM else OrchestratorError.exit_code
        return ClusterUnavailableError.exit_code  # the job's pods failed, or its deadline passed

    @property
    def _command_code(self) -> int:
        """Return the exit code of the command; codes above 128 mean that a signal ended the
        command.
        """
        found = _EXIT_CODE.search(self.message)
        return int(found[1]) if found else OrchestratorError.exit_code

    @property
    def words(self) -> str:
        """Return the state in words, for people."""
        attempts = (
            f" (attempt {self.num_failed + 1})" if self.num_failed and not self.is_over else ""
        )
        stopped = "stopped" if self.outcome == "STOPPED" else _WORDS.get(self.phase, self.phase)
        why = (
            self.reason
            if self.reason != "AppFailed"
            else f"exit code {_explained(self._command_code)}"
        )
        return f"{stopped}{attempts}{f': {why}' if self.is_over and self.exit_code and why else ''}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _folder(entrypoint: str) -> str:
    try:
        words = shlex.split(entrypoint)
    except ValueError:  # the entrypoint was written by another program and has unmatched quotes
        return ""
    return dict(pairwise(words)).get("--output", "")


def _explained(code: int) -> str:
    """Return an exit code as text for people, with the name of the signal for codes above 128.

    The code 128 + n means that signal n ended the process.
    """
    try:
        return f"{code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return str(code)
