"""Provide images with their classes, in memory or on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional

from orchestrator.data.image_table import ImageTable, parts_of_rows, room_on_disk


@dataclass(frozen=True)
class LabeledImages:
    """Images with their classes.

    Attributes:
        images: uint8 (images, channels, height, width).
        labels: Classes of the images, as positions in the class order.
        folder: Folder on disk that holds the images if they are too many for memory; None if they
            are in memory.
    """

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def preceded_by(self, exemplars: UInt8[Tensor, "old c h w"]) -> LabeledImages:
        """Return exemplars of old classes, one per class, followed by the images of this object.
        The exemplars get the labels 0, 1, 2, … in order. The result is in memory or on disk, like
        the images of this object.
        """
        if not len(exemplars):
            return self
        num_old, labels = len(exemplars), torch.cat([torch.arange(len(exemplars)), self.labels])
        joined = _room(self.folder, (num_old + len(self), *self.shape))
        joined[:num_old], joined[num_old:] = exemplars, self.images
        return LabeledImages(joined, labels, self.folder)

    def resized(self, size: int) -> LabeledImages:
        """Return the resized images, in memory or on disk like the original images.

        Args:
            size: Side in pixels.
        """
        if self.shape[-1] == size:
            return self
        return LabeledImages(
            resized_images(self.images, size, self.folder), self.labels, self.folder
        )


@dataclass(frozen=True)
class UnlabeledImages:
    """Unlabelled images, in memory or on disk.

    Attributes:
        images: uint8 (images, channels, height, width).
        folder: Folder on disk that holds the images if they are too many for memory; None if they
            are in memory.
    """

    images: UInt8[Tensor, "n c h w"]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.images)

    def resized(self, size: int) -> UnlabeledImages:
        """Return images resized to a given side in pixels, in memory or on disk like the original
        images.
        """
        if self.images.shape[-1] == size:
            return self
        return UnlabeledImages(resized_images(self.images, size, self.folder), self.folder)


def resized_images(
    images: UInt8[Tensor, "n c h w"], size: int, folder: Path | None
) -> UInt8[Tensor, "n c size size"]:
    """Return images resized to a given side in pixels.

    Args:
        images: Images as uint8.
        size: Side in pixels.
        folder: Folder for the resized images on disk; None keeps them in memory.

    Raises:
        StorageUnavailableError: The disk is full.
    """
    num, channels, _, _ = images.shape
    smaller = _room(folder, (num, channels, size, size))
    for part in parts_of_rows(num):
        smooth = functional.interpolate(
            images[part].float(), (size, size), mode="bilinear", antialias=True
        )
        smaller[part] = smooth.round_().clamp_(0, 255).to(torch.uint8)
    return smaller


def copied_rows(
    table: ImageTable, rows: npt.NDArray[np.int64], max_bytes: int | None
) -> tuple[UInt8[Tensor, "n c h w"], Path | None]:
    """Copy images of a memory-mapped table into memory or, if they are too many, onto disk.

    Args:
        table: The table with the images.
        rows: Rows of the images.
        max_bytes: Largest number of bytes to copy into memory; None means no limit.

    Returns:
        The images, and the folder that holds them on disk, or None if they are in memory.

    Raises:
        StorageUnavailableError: The disk is full.
    """
    if max_bytes is None or len(rows) * math.prod(table.shape) <= max_bytes:
        return torch.from_numpy(table.images[rows]), None
    folder = table.path.parent
    copied = room_on_disk(folder, (len(rows), *table.shape))
    for part in parts_of_rows(len(rows)):
        copied[part] = table.images[rows[part]]
    return torch.from_numpy(copied), folder


def _room(folder: Path | None, shape: tuple[int, ...]) -> Tensor:
    if folder is None:
        return torch.empty(shape, dtype=torch.uint8)
    return torch.from_numpy(room_on_disk(folder, shape))
