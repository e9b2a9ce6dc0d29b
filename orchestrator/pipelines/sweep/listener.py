"""The listener of a sweep: it receives the sweep's events, for a terminal, a notebook or a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from orchestrator.config.search_space import SearchSpace
from orchestrator.tuning.ledger import LedgerTrial


class SweepListener(Protocol):
    """Receive the events of a sweep while it happens.

    `SilentSweepListener` is the base for a listener that needs only some of them.
    """

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
        sweep_id: str,
    ) -> None:
        """Receive that everything is checked, and computing begins.

        Args:
            search_space: What varies.
            num_trials: Most trials that are drawn; None for no limit.
            num_tasks: Tasks that each trial learns.
            known: Trials of earlier starts.
            sweep_id: Of the sweep's run in MLflow.
        """

    def ray_starts(self, address: str | None) -> None:
        """Receive that Ray is about to start on this machine, which may take a minute; with an
        address, that its cluster is joined. Not where no trial is left to compute.
        """

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Receive that a trial has begun, has learned one more task, or has ended."""

    def tick(self) -> None:
        """Receive that about a second has passed."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Receive that everything is computed and written.

        Args:
            summary: The content of summary.json.
            output_dir: Where the files of the sweep are.
            view_url: Page that shows the trials side by side; empty where there is none.
        """


class SilentSweepListener:
    """Ignore every event."""

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
        sweep_id: str,
    ) -> None:
        """Ignore it."""

    def ray_starts(self, address: str | None) -> None:
        """Ignore it."""

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Ignore it."""

    def tick(self) -> None:
        """Ignore it."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Ignore it."""
