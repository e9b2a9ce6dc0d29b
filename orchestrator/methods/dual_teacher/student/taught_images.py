"""The images that the student learns from, each varied afresh, with what the teacher's extractor
makes of them.

Where the teacher's extractor runs beside the student, both see the same variation of an image.
Where its features have been computed beforehand, they are those of the image as it is: the student
learns to see the same in every variation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from orchestrator.data.augmentation import mix
from orchestrator.models import Backbone
from orchestrator.training.context import LearningContext


class TaughtBatch(NamedTuple):
    """One batch.

    Attributes:
        images: Of the rows asked for, then mixtures of them; there may be none.
        features: What the teacher's extractor makes of each.
    """

    images: UInt8[Tensor, "n c h w"]
    features: Float[Tensor, "n d"]


@runtime_checkable  # the tests run the signatures as checks
class TaughtImages(Protocol):
    """Gives batches."""

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Variations of some images.

        Args:
            rows: Which images.
            generator: Decides which variations.
        """


@dataclass(frozen=True)
class VariedAfresh:
    """New variations in every batch; the teacher's extractor looks at each.

    Attributes:
        images: uint8.
        extractor: The teacher's.
        context: Device, and how images are varied.
        with_mixtures: Whether mixtures follow. The teacher's map is nearly the same function at
            every task: imitating it on any image protects old classes.
    """

    images: UInt8[Tensor, "n c h w"]
    extractor: Backbone
    context: LearningContext
    with_mixtures: bool

    @torch.no_grad()
    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Varies and mixes, and asks the extractor."""
        raw = self.images.index_select(0, rows).to(self.context.device)
        images = self.context.vary(raw, generator)
        if self.with_mixtures:
            images = torch.cat([images, mix(self.context.vary(raw, generator), generator)])
        return TaughtBatch(images, self.extractor(images))


@dataclass(frozen=True)
class WithKnownFeatures:
    """New variations in every batch, of images whose features are known.

    Attributes:
        images: uint8, as the student sees them.
        features: What the teacher's extractor makes of them as they are.
        context: Device, and how images are varied.
    """

    images: UInt8[Tensor, "n c h w"]
    features: Float[Tensor, "n d"]
    context: LearningContext

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Varies the images."""
        of_rows = self.features.index_select(0, rows.to(self.features.device))
        return TaughtBatch(
            self.context.vary(self.images.index_select(0, rows), generator),
            of_rows.to(self.context.device).float(),  # tables hold half precision
        )
