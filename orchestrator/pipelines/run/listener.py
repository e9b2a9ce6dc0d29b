"""Who wants to know how a run is doing: a terminal, a notebook, nobody."""

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
    """Told about a run while it happens."""

    def images_decoded(self, done: int, total: int) -> None:
        """Before anything else, where images are decoded for the first time: how many are, and of
        how many.
        """

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """All is checked; computing begins."""

    def stage_started(self, stage: Stage) -> None:
        """A stage begins."""

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """A pre-trained extractor has gone through some more of the images that the stage needs."""

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """One epoch of the stage is over."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """A stage is over; the record includes it."""

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """All is computed and written; `view_url` shows the run beside its experiment's others,
        empty where nothing does.
        """


class SilentListener:
    """Wants to know nothing."""

    def images_decoded(self, done: int, total: int) -> None:
        """Says nothing."""

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Says nothing."""

    def stage_started(self, stage: Stage) -> None:
        """Says nothing."""

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Says nothing."""

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Says nothing."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Says nothing."""

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Says nothing."""
