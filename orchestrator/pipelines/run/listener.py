"""Define listeners of a run. A listener receives the events of a run, for example to show them in a
terminal.
"""

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
    """Listener that receives the events of a run.

    To handle only some events, derive a class from `SilentRunListener`.
    """

    def images_decoded(self, done: int, total: int) -> None:
        """Handle the progress of decoding: `done` of `total` images are decoded.

        This event comes before all other events. It is omitted if the data cache already contains
        the decoded images.
        """

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Handle the start of the computation; all checks have passed."""

    def ray_starts(self, address: str | None) -> None:
        """Handle the start of Ray on this machine, which may take a minute, or the connection to
        the cluster at an address.

        This event is omitted if the stage store has every stage.

        Args:
            address: Address of the cluster; None if Ray starts on this machine.
        """

    def stage_started(self, stage: Stage) -> None:
        """Handle the start of a stage."""

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Handle the progress of computing features: a pre-trained extractor has processed
        `num_done` of `num_images` images for a stage.
        """

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Handle the end of one epoch of a stage."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Handle the end of a stage; the record of the run already contains the result."""

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Handle the end of the run; all files are written.

        Args:
            summary: The content of summary.json.
            output_dir: Folder with the files of the run.
            experiment: The experiment.
            view_url: Address of the MLflow page that compares the runs of the experiment; empty if
                there is no such page.
        """


class SilentRunListener:
    """Listener that ignores every event."""

    def images_decoded(self, done: int, total: int) -> None:
        """Ignore the event."""

    def run_started(
        self, experiment: Experiment, scenario: Scenario, stages: Sequence[Stage], run_id: str
    ) -> None:
        """Ignore the event."""

    def ray_starts(self, address: str | None) -> None:
        """Ignore the event."""

    def stage_started(self, stage: Stage) -> None:
        """Ignore the event."""

    def features_computed(self, stage: Stage, num_done: int, num_images: int) -> None:
        """Ignore the event."""

    def epoch_finished(self, stage: Stage, report: EpochReport) -> None:
        """Ignore the event."""

    def stage_finished(self, result: StageResult, record: RunRecord) -> None:
        """Ignore the event."""

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Ignore the event."""
