"""The images that the student learns from, each varied, with what the teacher's extractor makes of them.

Teacher and student always see the same variation of an image. Where the teacher's extractor runs beside the student, every batch
is varied afresh; where its features have been computed beforehand, a batch is drawn from those variations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

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
        with_mixtures: Whether mixtures follow. The teacher's map is nearly the same function at every task: imitating it on any
            image protects old classes.
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
class VariedBeforehand:
    """A number of variations of every image, whose features are known.

    Attributes:
        images: uint8, as the student sees them.
        features: What the teacher's extractor makes of them.
        device: Where batches are wanted.
    """

    images: UInt8[Tensor, "views n c h w"]
    features: Float[Tensor, "views n d"]
    device: torch.device

    def batch(self, rows: Int64[Tensor, " rows"], generator: torch.Generator) -> TaughtBatch:
        """Draws one of the variations of each image."""
        views = torch.randint(len(self.images), rows.shape, generator=generator)
        of_rows = self.features[views.to(self.features.device), rows.to(self.features.device)]
        return TaughtBatch(self.images[views, rows].to(self.device), of_rows.to(self.device))


@torch.no_grad()
def varied_beforehand(
    known: Sequence[TaughtBatch], exemplars: UInt8[Tensor, "old c h w"], extractor: Backbone, context: LearningContext
) -> VariedBeforehand:
    """The exemplars, varied now, and the new images, whose variations are known.

    Args:
        known: For each set of variations, the new images and their features; the first is of the images as they are.
        exemplars: Of the old classes.
        extractor: The teacher's.
        context: Device, and how images are varied.
    """
    generator = context.stream("exemplar views")
    images, features = [], []
    for number, batch in enumerate(known):
        old = context.vary(exemplars, generator) if number else exemplars.to(context.device)
        features.append(torch.cat([extractor(old) if len(old) else batch.features[:0], batch.features]))
        images.append(torch.cat([resized(old.cpu(), batch.images.shape[-1]), batch.images]))
    return VariedBeforehand(torch.stack(images), torch.stack(features), context.device)


def resized(images: UInt8[Tensor, "n c h w"], size: int) -> UInt8[Tensor, "n c s s"]:
    """The images at another size."""
    if images.shape[-1] == size:
        return images
    smooth = functional.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
    return smooth.round_().clamp_(0, 255).to(torch.uint8)
