"""Who wants to know how a sweep is doing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from orchestrator.config.search_space import SearchSpace
from orchestrator.tuning.ledger import LedgerTrial


class SweepListener(Protocol):
    """Told about a sweep while it happens."""

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
    ) -> None:
        """All is checked; computing begins. `known` are the trials of earlier starts."""

    def trial_changed(self, trial: LedgerTrial) -> None:
        """A trial began, has learned one more task, or is over."""

    def tick(self) -> None:
        """About a second has passed."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """All is computed and written; `view_url` shows the trials side by side, empty where
        nothing does.
        """


class SilentSweepListener:
    """Wants to know nothing."""

    def sweep_started(
        self,
        search_space: SearchSpace,
        num_trials: int | None,
        num_tasks: int,
        known: list[LedgerTrial],
    ) -> None:
        """Says nothing."""

    def trial_changed(self, trial: LedgerTrial) -> None:
        """Says nothing."""

    def tick(self) -> None:
        """Says nothing."""

    def sweep_finished(self, summary: dict[str, Any], output_dir: Path, view_url: str) -> None:
        """Says nothing."""
