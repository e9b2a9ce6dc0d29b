"""What a learner is handed beside data and configuration: random streams, the device, and someone to report to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from orchestrator.training.random_streams import derive_seed, stream


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch.

    Attributes:
        phase: What is being trained, for people: "extractor", "embedding", "student".
        epoch: Counted from 1 within the phase.
        num_epochs: Epochs of the phase.
        metrics: Means over the epoch's batches: `loss` and its parts.
    """

    phase: str
    epoch: int
    num_epochs: int
    metrics: Mapping[str, float]


Reporter = Callable[[EpochReport], None]


def report_to_nobody(report: EpochReport) -> None:
    """The reporter of who does not want to know."""


@dataclass(frozen=True)
class LearningContext:
    """The surroundings of one stage.

    Attributes:
        seed: The experiment's.
        stage: Name of the stage, such as `teacher[0]`: part of every random stream.
        device: Where tensors live.
        reporter: Called after every epoch.
    """

    seed: int
    stage: str
    device: torch.device = torch.device("cpu")
    reporter: Reporter = report_to_nobody

    def stream(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose within this stage."""
        return stream(self.seed, self.stage, *purpose)

    def seed_of(self, *purpose: str | int) -> int:
        """A seed for one purpose within this stage."""
        return derive_seed(self.seed, self.stage, *purpose)
