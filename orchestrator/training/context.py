"""What a learner is handed beside data and configuration: random streams, the device, and someone to report to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from orchestrator.config.data import ImageAugmentationConfig
from orchestrator.data.augmentation import augment
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

    def as_json(self) -> dict[str, Any]:
        """Plain values, for an artifact."""
        return {"phase": self.phase, "epoch": self.epoch, "num_epochs": self.num_epochs, "metrics": dict(self.metrics)}


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
        image_augmentation: How training images are varied; the same for every method.
        reporter: Called after every epoch.
    """

    seed: int
    stage: str
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    image_augmentation: ImageAugmentationConfig = field(default_factory=ImageAugmentationConfig)
    reporter: Reporter = report_to_nobody

    def stream(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose within this stage."""
        return stream(self.seed, self.stage, *purpose)

    def seed_of(self, *purpose: str | int) -> int:
        """A seed for one purpose within this stage."""
        return derive_seed(self.seed, self.stage, *purpose)

    def vary(self, images: UInt8[Tensor, "n c h w"], generator: torch.Generator) -> UInt8[Tensor, "n c h w"]:
        """Randomly changed copies of images, on this stage's device."""
        return augment(images.to(self.device), self.image_augmentation, generator)
