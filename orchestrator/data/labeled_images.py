"""Images with their classes, in memory or on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional

from orchestrator.data.image_table import room_on_disk

_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class LabeledImages:
    """Images with their classes.

    Attributes:
        images: uint8 (images, channels, height, width).
        labels: Positions in the class order.
        folder: Where the images lie on disk, as they are too many for memory; None where they are
            in memory.
    """

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def preceded_by(self, exemplars: UInt8[Tensor, "old c h w"]) -> LabeledImages:
        """Prepend one image of each of the first classes, in memory or on disk as before."""
        if not len(exemplars):
            return self
        num_old, labels = len(exemplars), torch.cat([torch.arange(len(exemplars)), self.labels])
        joined = self._room((num_old + len(self), *self.shape))
        joined[:num_old], joined[num_old:] = exemplars, self.images
        return LabeledImages(joined, labels, self.folder)

    def resized(self, size: int) -> LabeledImages:
        """Resize the images, in memory or on disk as before.

        Args:
            size: Side in pixels.
        """
        channels, _, width = self.shape
        if width == size:
            return self
        smaller = self._room((len(self), channels, size, size))
        for part in parts_of_rows(len(self)):
            smooth = functional.interpolate(
                self.images[part].float(), (size, size), mode="bilinear", antialias=True
            )
            smaller[part] = smooth.round_().clamp_(0, 255).to(torch.uint8)
        return LabeledImages(smaller, self.labels, self.folder)

    def _room(self, shape: tuple[int, ...]) -> Tensor:
        return (
            torch.empty(shape, dtype=torch.uint8)
            if self.folder is None
            else torch.from_numpy(room_on_disk(self.folder, shape))
        )


def parts_of_rows(num: int) -> list[slice]:
    """Cut so many rows into parts that take little memory."""
    return [slice(start, start + _ROWS_AT_ONCE) for start in range(0, num, _ROWS_AT_ONCE)]
