"""The protocol by which a run reports its numbers, and the tracker that keeps none."""

import uuid
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class RunStatus(StrEnum):
    """How a run ended, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Tracker(Protocol):
    """Takes the numbers of one run, in the order in which they are handed over.

    Every `log_…` and `set_tags` raises `RuntimeError` once the run is closed.
    """

    @property
    def run_id(self) -> str:
        """The run's identifier: 32 hexadecimal digits."""
        ...

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Keep settings of the run; a value over 6000 characters ends with an ellipsis."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep values that belong to one step (see `names` for what a step counts)."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        ...

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Keep a copy of a file, under its own name, in a folder of the run's artifacts ("" is the top)."""
        ...

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run; only the first call counts, so that a `finally` may close what an `except` has closed."""
        ...


class Lifetime:
    """Whether a run is still open: what all trackers agree on.

    Args:
        run_id: Named in the error for a number that comes too late.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.status: RunStatus | None = None

    def require_open(self) -> None:
        """Raise `RuntimeError` when the run is closed."""
        if self.status is not None:
            raise RuntimeError(f"run {self.run_id} is closed ({self.status}); log before close(), or open a new run")

    def end(self, status: RunStatus) -> bool:
        """True the first time, False for every later call."""
        if self.status is not None:
            return False
        self.status = status
        return True


class NullTracker:
    """Keeps nothing: for runs that nobody wants tracked."""

    def __init__(self) -> None:
        self._lifetime = Lifetime(uuid.uuid4().hex)

    @property
    def run_id(self) -> str:
        """A fresh identifier."""
        return self._lifetime.run_id

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Drop the settings."""
        self._lifetime.require_open()

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Drop the values."""
        self._lifetime.require_open()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Drop the tags."""
        self._lifetime.require_open()

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Leave the file where it is."""
        self._lifetime.require_open()

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run."""
        self._lifetime.end(status)
