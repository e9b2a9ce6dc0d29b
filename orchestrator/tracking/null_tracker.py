"""A tracker that keeps nothing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.tracking.tracker import DatasetUse, Lifetime, MetricPoint, RunStatus
from orchestrator.tracking.views.view import View


class NullTracker:
    """Drop everything: for runs that nobody wants tracked.

    Args:
        run_id: Of a run to resume; None for a new one.
        parent_run_id: The run above this one; empty when there is none.
    """

    def __init__(self, run_id: str | None = None, parent_run_id: str = "") -> None:
        self._lifetime = Lifetime(run_id or uuid.uuid4().hex, parent_run_id)

    @property
    def run_id(self) -> str:
        """The identifier that was given, or a fresh one."""
        return self._lifetime.run_id

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Drop the settings."""
        self._lifetime.require_open()

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Drop the values."""
        self._lifetime.require_open()

    def log_points(self, points: Sequence[MetricPoint]) -> None:
        """Drop the values."""
        self._lifetime.require_open()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Drop the tags."""
        self._lifetime.require_open()

    def log_file(self, path: Path, artifact_folder: str = "") -> None:
        """Leave the file where it is."""
        self._lifetime.require_open()

    def log_model(self, folder: Path, name: str, registered_name: str = "") -> None:
        """Leave the model where it is."""
        self._lifetime.require_open()

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Drop them."""
        self._lifetime.require_open()

    def save_views(self, views: Sequence[View]) -> None:
        """Drop them."""
        self._lifetime.require_open()

    def view_url(self, view: View) -> str:
        """Return nothing: there is no page."""
        return ""

    def open_child(
        self, run_name: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> NullTracker:
        """Return a child that keeps nothing; its run id is believed."""
        self._lifetime.child_tags(run_name, tags)
        return NullTracker(run_id, self.run_id)

    def close(self, status: RunStatus, reason: str = "") -> None:
        """End the run."""
        self._lifetime.end(status)
