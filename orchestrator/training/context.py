"""Provide a learning stage with everything except data and configuration, such as random streams,
the device, and the listener that receives epoch reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import UInt8
from torch import Tensor

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.data.augmentation import augment
from orchestrator.devices import CPU
from orchestrator.training.checkpoints import EpochCheckpoints, NoCheckpoints
from orchestrator.training.random_streams import derive_seed, stream
from orchestrator.training.ranks import ALONE, Ranks
from orchestrator.training.reports import EpochListener, ignore_epochs
from orchestrator.training.shared import NotShared, Shared


@dataclass(frozen=True)
class LearningContext:
    """The context of one stage.

    Attributes:
        seed: Seed of the experiment.
        stage: Name of the stage, such as `teacher[0]`, from which all random streams are derived.
        device: Device of the tensors.
        image_augmentation: Augmentation of training images, the same for every method.
        listener: Receives the report of every epoch, on the first rank.
        checkpoints: Storage of epoch checkpoints.
        ranks: Position of this worker (its rank) among the workers that compute the stage together.
        shared: Store of the results that this stage shares with other stages, trials and runs.
    """

    seed: int
    stage: str
    device: torch.device = CPU
    image_augmentation: ImageAugmentationConfig = field(default_factory=ImageAugmentationConfig)
    listener: EpochListener = ignore_epochs
    checkpoints: EpochCheckpoints = field(default_factory=NoCheckpoints)
    ranks: Ranks = ALONE
    shared: Shared = field(default_factory=NotShared)

    def stream(self, *purpose: str | int) -> torch.Generator:
        """Return a CPU generator for the random draws of this stage that `purpose` names. The
        generator is the same on every rank.
        """
        return stream(self.seed, self.stage, *purpose)

    def stream_of_rank(self, *purpose: str | int) -> torch.Generator:
        """Return a CPU generator for random draws that concern only this rank's rows of a batch.
        `purpose` names the draws. On the first rank, the generator is the one that `stream`
        returns.
        """
        return (
            self.stream(*purpose)
            if self.ranks.is_first
            else self.stream(*purpose, "rank", self.ranks.index)
        )

    def seed_of(self, *purpose: str | int) -> int:
        """Return a seed for the random draws of this stage that `purpose` names."""
        return derive_seed(self.seed, self.stage, *purpose)

    def vary(
        self,
        images: UInt8[Tensor, "n c h w"],
        generator: torch.Generator,
        part: slice = slice(None),
    ) -> UInt8[Tensor, "part c h w"]:
        """Return randomly augmented copies of the images in a part, on this stage's device. The
        copy of an image does not depend on which other images are in the part.
        """
        return augment(images, self.image_augmentation, generator, part, self.device)
