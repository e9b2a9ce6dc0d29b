"""Define listeners of a sweep. A listener receives the events of a sweep, for example to show them
in a terminal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from orchestrator.config.search_space import SearchSpace
from orchestrator.tuning.ledger import LedgerTrial


class SweepListener(Protocol):
    """Listener that receives the events of a sweep.

    To handle only some events, derive a class from `SilentSweepListener`.
    """

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
        sweep_id: str,
    ) -> None:
        """Handle the start of the computation; all checks have passed.

        Args:
            search_space: The search space.
            num_trials: Maximum number of trials to draw; None means no limit.
            num_tasks: Number of tasks that each trial learns.
            known: Trials that earlier starts of the sweep have recorded.
            sweep_id: Id of the sweep's run in MLflow.
        """

    def ray_starts(self, address: str | None) -> None:
        """Handle the start of Ray on this machine, which may take a minute, or the connection to
        the cluster at an address.

        This event is omitted if no trial is left to compute.

        Args:
            address: Address of the cluster; None if Ray starts on this machine.
        """

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Handle a trial that has started, learned one more task, or ended."""

    def tick(self) -> None:
        """Handle a clock tick, about once a second."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Handle the end of the sweep; all files are written.

        Args:
            summary: The content of summary.json.
            output_dir: Folder with the files of the sweep.
            view_url: Address of the MLflow page that compares the trials; empty if there is no such
                page.
        """


class SilentSweepListener:
    """Listener that ignores every event."""

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
        sweep_id: str,
    ) -> None:
        """Ignore the event."""

    def ray_starts(self, address: str | None) -> None:
        """Ignore the event."""

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Ignore the event."""

    def tick(self) -> None:
        """Ignore the event."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Ignore the event."""
