"""The images that the student learns from, randomly augmented in each batch, with the features of
the teacher's extractor.

If the teacher's extractor runs during training, teacher and student see the same augmented copy of
an image. If the teacher's features were computed beforehand, they are features of the original
image. The student then learns to imitate the teacher's embedding of the original image from every
augmented copy.
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
    """One batch of augmented images, with the teacher's features. The student imitates the
    teacher's embeddings of these features.

    Attributes:
        images: One augmented copy of each requested image, then mixtures of images if there are
            any.
        features: Features of each image from the teacher's extractor.
    """

    images: UInt8[Tensor, "n c h w"]
    features: Float[Tensor, "n d"]


@runtime_checkable  # tests check the types of arguments at run time with `isinstance`
class TaughtImages(Protocol):
    """Source of the batches that the student learns from."""

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Return augmented copies of some images.

        Args:
            rows: Rows of the images to augment.
            generator: Draws the augmentations.
        """


@dataclass(frozen=True)
class VariedAfresh:
    """Source that augments the images in every batch, and runs the teacher's extractor on the
    augmented copies.

    Attributes:
        images: Images as uint8.
        extractor: The teacher's extractor.
        context: Device and augmentation.
        with_mixtures: Whether to append mixtures of images. The teacher's embedding is nearly the
            same function in every task, so imitating this function on any image protects old
            classes.
    """

    images: UInt8[Tensor, "n c h w"]
    extractor: Backbone
    context: LearningContext
    with_mixtures: bool

    @torch.no_grad()
    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Augment and mix the images, and extract the teacher's features of the results."""
        raw = self.images.index_select(0, rows).to(self.context.device)
        images = self.context.vary(raw, generator)
        if self.with_mixtures:
            images = torch.cat([images, mix(self.context.vary(raw, generator), generator)])
        return TaughtBatch(images, self.extractor(images))


@dataclass(frozen=True)
class WithKnownFeatures:
    """Source that augments the images in every batch, and returns precomputed features of the
    original images.

    Attributes:
        images: Images as uint8, at the student's input size.
        features: Features of the original images from the teacher's extractor.
        context: Device and augmentation.
    """

    images: UInt8[Tensor, "n c h w"]
    features: Float[Tensor, "n d"]
    context: LearningContext

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Return augmented copies of the images, with the features of the original images."""
        of_rows = self.features.index_select(0, rows.to(self.features.device))
        return TaughtBatch(
            self.context.vary(self.images.index_select(0, rows), generator),
            # features from feature tables may have half precision
            of_rows.to(self.context.device).float(),
        )
