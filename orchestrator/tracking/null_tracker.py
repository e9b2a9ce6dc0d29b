"""Discard everything that a run logs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.tracking.tracker import DatasetUse, Lifetime, MetricPoint, RunStatus
from orchestrator.tracking.views.view import View


class NullTracker:
    """Discards everything that a run logs, for runs without tracking.

    Args:
        run_id: Id of the run to resume; None for a new run.
        parent_run_id: Id of the parent run; empty if there is none.
    """

    def __init__(self, run_id: str | None = None, parent_run_id: str = "") -> None:
        self._lifetime = Lifetime(run_id or uuid.uuid4().hex, parent_run_id)

    @property
    def run_id(self) -> str:
        """Return the run's identifier: the given one, or a random one."""
        return self._lifetime.run_id

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Discard the parameters."""
        self._lifetime.require_open()

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Discard the values."""
        self._lifetime.require_open()

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Discard the values."""
        self._lifetime.require_open()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Discard the tags."""
        self._lifetime.require_open()

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Discard the file."""
        self._lifetime.require_open()

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Discard the model."""
        self._lifetime.require_open()

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Discard the uses of data sets."""
        self._lifetime.require_open()

    def save_views(self, views: Sequence[View]) -> None:
        """Discard the views."""
        self._lifetime.require_open()

    def view_url(self, view: View) -> str:
        """Return an empty text: without a store, a saved view has no page."""
        return ""

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> NullTracker:
        """Return a child that discards everything, without checking that `run_id` is a child."""
        self._lifetime.child_tags(run_name, tags)
        return NullTracker(run_id, self.run_id)

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run, and discard the reason."""
        self._lifetime.end(status)
