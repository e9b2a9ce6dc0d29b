"""Images without labels: those of a source that are no test, validation or training images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8
from torch import Tensor

from orchestrator.data.image_table import ImageTable
from orchestrator.data.labeled_images import copied_rows, parts_of_rows, resized_images

Rows: TypeAlias = npt.NDArray[np.int64]

UNLABELED: Literal["unlabeled"] = "unlabeled"
"""Stands for these images where others have a split."""

IMAGES_PER_PART = 2048
"""Bounds what is looked at, and stored, in one piece."""


@dataclass(frozen=True)
class UnlabeledImages:
    """Images without labels, in memory or on disk.

    Attributes:
        images: uint8 (images, channels, height, width).
        folder: Where they lie on disk, as they are too many for memory; None where they are in
            memory.
    """

    images: UInt8[Tensor, "n c h w"]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.images)

    def resized(self, size: int) -> UnlabeledImages:
        """Resize the images to so many pixels a side, in memory or on disk as before."""
        if self.images.shape[-1] == size:
            return self
        return UnlabeledImages(resized_images(self.images, size, self.folder), self.folder)


@dataclass(frozen=True)
class LeftOut:
    """Count the images of a source that are left out, each for the first reason that holds.

    Attributes:
        in_test: Their pixels are those of a test image.
        in_validation: Of a validation image.
        in_training: Of a training image: it is learned from with its label.
        repeated: Of another image of the source, which stays.
    """

    in_test: int = 0
    in_validation: int = 0
    in_training: int = 0
    repeated: int = 0

    @property
    def total(self) -> int:
        """Return how many."""
        return sum(asdict(self).values())


class PoolPart(NamedTuple):
    """Images that lie beside each other in the table, and are looked at together.

    What is left out differs from seed to seed, and from one amount of labels to another. Where it
    is the smaller half, it is looked at with the others: what was computed of the part then serves
    all of them.

    Attributes:
        rows: Of the table, that are looked at.
        kept: Which of these may be learned from, as positions in `rows`.
        fingerprint: SHA-256 over the images that are looked at, their order and shape.
    """

    rows: Rows
    kept: Rows
    fingerprint: str


@dataclass(frozen=True)
class UnlabeledPool:
    """The images of a source that every task may learn from.

    Attributes:
        table: All images of the source that were decoded.
        rows: Those that may be learned from, in the order of the table.
        digests: Of the pixels of all images of the table.
        left_out: How many of the others, and why.
    """

    table: ImageTable
    rows: Rows
    digests: Sequence[bytes]
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """Return a SHA-256 over the images that may be learned from, their order and shape."""
        return self._fingerprint_of(self.rows)

    @cached_property
    def parts(self) -> Sequence[PoolPart]:
        """Return the images part by part, in their order."""
        num = len(self.digests)
        cuts = np.searchsorted(self.rows, np.arange(0, num + IMAGES_PER_PART, IMAGES_PER_PART))
        found = []
        for number, (start, end) in enumerate(pairwise(cuts)):
            if start == end:
                continue
            first, rows = number * IMAGES_PER_PART, self.rows[start:end]
            whole = np.arange(first, min(num, first + IMAGES_PER_PART))
            if 2 * len(rows) >= len(whole):
                found.append(PoolPart(whole, rows - first, self._fingerprint_of(whole)))
            else:
                found.append(PoolPart(rows, np.arange(len(rows)), self._fingerprint_of(rows)))
        return found

    def copy_of(self, rows: Rows) -> UInt8[Tensor, "n c h w"]:
        """Return some images of the table, copied into memory."""
        return copied_rows(self.table, rows, None)[0]

    def images(self, max_bytes: int | None) -> UnlabeledImages:
        """Return all images, copied into memory, or where they are too many, onto disk.

        Args:
            max_bytes: Most bytes to copy into memory; None means no bound.

        Raises:
            StorageUnavailableError: There is no room on disk.
        """
        return UnlabeledImages(*copied_rows(self.table, self.rows, max_bytes))

    def _fingerprint_of(self, rows: Rows) -> str:
        digest = hashlib.sha256(repr(self.table.shape).encode())
        for row in rows.tolist():
            digest.update(self.digests[row])
        return digest.hexdigest()


def unlabeled_pool(
    table: ImageTable,
    in_test: Sequence[bytes],
    in_validation: Sequence[bytes],
    in_training: Sequence[bytes],
) -> UnlabeledPool:
    """Return the images of a table without those of which the content is known already.

    Args:
        table: All images of the source.
        in_test: Digests of the pixels of the test images.
        in_validation: Of the validation images.
        in_training: Of the training images, all tasks'.
    """
    reasons = {
        **dict.fromkeys(in_training, "in_training"),
        **dict.fromkeys(in_validation, "in_validation"),
        **dict.fromkeys(in_test, "in_test"),
    }
    kept: dict[bytes, int] = {}
    counts = dict.fromkeys(("in_test", "in_validation", "in_training", "repeated"), 0)
    digests = digests_of(table, np.arange(len(table.images)))
    for row, digest in enumerate(digests):
        reason = reasons.get(digest, "repeated" if digest in kept else None)
        if reason is None:
            kept[digest] = row
        else:
            counts[reason] += 1
    rows = np.fromiter(kept.values(), np.int64, len(kept))
    return UnlabeledPool(table, rows, digests, LeftOut(**counts))


def digests_of(table: ImageTable, rows: Rows) -> list[bytes]:
    """Return the SHA-256 of the pixels of some images of a table."""
    return [
        hashlib.sha256(image.data).digest()
        for part in parts_of_rows(len(rows))
        for image in np.ascontiguousarray(table.images[rows[part]])
    ]
