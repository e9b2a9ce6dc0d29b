"""The listener of a run: it receives the run's events, for a terminal, a notebook or a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestrator.config.experiment import Experiment
from orchestrator.data import Scenario
from orchestrator.pipelines.run.record import RunRecord, StageResult
from orchestrator.stages import Stage
from orchestrator.training.reports import EpochReport


class RunListener(Protocol):
    """Receive the events of a run while it happens.

    `SilentRunListener` is the base for a listener that needs only some of them.
    """

    def images_decoded(self, done: int, total: int) -> None:
        """Receive how many images of how many are decoded, where this happens for the first time;
        before all other events.
        """

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Receive that everything is checked, and computing begins."""

    def ray_starts(self, address: str | None) -> None:
        """Receive that Ray is about to start on this machine, which may take a minute; with an
        address, that its cluster is joined. Not where every stage is in the store.
        """

    def stage_started(self, stage: Stage) -> None:
        """Receive that a stage has started."""

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Receive how many of a stage's images a pre-trained extractor has processed."""

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Receive that one epoch of a stage has finished."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Receive that a stage has finished; the record includes it."""

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Receive that everything is computed and written.

        Args:
            summary: The content of summary.json.
            output_dir: Where the files of the run are.
            experiment: What was run.
            view_url: Page that shows the run beside its experiment's others; empty where there is
                none.
        """


class SilentRunListener:
    """Ignore every event."""

    def images_decoded(self, done: int, total: int) -> None:
        """Ignore it."""

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Ignore it."""

    def ray_starts(self, address: str | None) -> None:
        """Ignore it."""

    def stage_started(self, stage: Stage) -> None:
        """Ignore it."""

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Ignore it."""

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Ignore it."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Ignore it."""

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Ignore it."""
