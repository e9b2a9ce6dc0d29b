"""The images that the student learns from, newly varied in each batch, with the features of the
teacher's extractor.

If the teacher's extractor runs alongside the student, both see the same variation of an image. If
the extractor's features were computed beforehand, they are those of the original image, and the
student learns to recognise the image in every variation.
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
    """One batch of varied images, with the features to imitate.

    Attributes:
        images: Variations of the requested rows, then any mixtures of them.
        features: Features of each image from the teacher's extractor.
    """

    images: UInt8[Tensor, "n c h w"]
    features: Float[Tensor, "n d"]


@runtime_checkable  # the tests check annotated types at run time with `isinstance`
class TaughtImages(Protocol):
    """Source of the batches that the student learns from."""

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Return variations of some images.

        Args:
            rows: Rows of the images.
            generator: Draws the variations.
        """


@dataclass(frozen=True)
class VariedAfresh:
    """Source that varies the images in every batch, and runs the teacher's extractor on the
    variations.

    Attributes:
        images: Images as uint8.
        extractor: The teacher's extractor.
        context: Device and augmentation.
        with_mixtures: Whether to append mixtures. The teacher's map is nearly the same function in
            every task: imitating it on any image protects old classes.
    """

    images: UInt8[Tensor, "n c h w"]
    extractor: Backbone
    context: LearningContext
    with_mixtures: bool

    @torch.no_grad()
    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Vary and mix the images, and extract their features."""
        raw = self.images.index_select(0, rows).to(self.context.device)
        images = self.context.vary(raw, generator)
        if self.with_mixtures:
            images = torch.cat([images, mix(self.context.vary(raw, generator), generator)])
        return TaughtBatch(images, self.extractor(images))


@dataclass(frozen=True)
class WithKnownFeatures:
    """Source that varies the images in every batch, for images whose features are precomputed.

    Attributes:
        images: Images as uint8, at the student's input size.
        features: Features of the teacher's extractor for the original images.
        context: Device and augmentation.
    """

    images: UInt8[Tensor, "n c h w"]
    features: Float[Tensor, "n d"]
    context: LearningContext

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Vary the images and return them with the features of the originals."""
        of_rows = self.features.index_select(0, rows.to(self.features.device))
        return TaughtBatch(
            self.context.vary(self.images.index_select(0, rows), generator),
            # features from feature tables may have half precision
            of_rows.to(self.context.device).float(),
        )
