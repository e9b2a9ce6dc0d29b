"""Select the unlabelled images of a source that are not test, validation or training images.

Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.data.image_table import ImageTable, parts_of_rows

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.data.labeled_images import UnlabeledImages

Rows: TypeAlias = npt.NDArray[np.int64]

UNLABELED: Literal["unlabeled"] = "unlabeled"
"""Marker for unlabelled images, used in place of a split (training, validation or test)."""

IMAGES_PER_PART = 2048
"""Largest number of images that are processed and stored as one part."""


@dataclass(frozen=True)
class LeftOut:
    """Counts of the skipped images of a source, by reason. Each image counts only for the first
    reason that applies.

    Attributes:
        in_test: Images with the same pixels as a test image.
        in_validation: Images with the same pixels as a validation image.
        in_training: Images with the same pixels as a training image. They are skipped, because
            methods already learn from the training image and its label.
        repeated: Images with the same pixels as an image of the source that is kept.
    """

    in_test: int = 0
    in_validation: int = 0
    in_training: int = 0
    repeated: int = 0

    @property
    def total(self) -> int:
        """Return the total number of skipped images."""
        return sum(asdict(self).values())


class PoolPart(NamedTuple):
    """Adjacent images of the table that are processed together, for example to compute their
    features.

    Which images are skipped depends on the seed and on the number of labelled images. If at most
    half of a part is skipped, the whole part is processed. The results for the part can then be
    reused for other seeds and other numbers of labelled images.

    Attributes:
        rows: Rows of the table to process.
        kept: Images that may be learned from, as positions in `rows`.
        fingerprint: SHA-256 over the processed images, their order and shape.
    """

    rows: Rows
    kept: Rows
    fingerprint: str


@dataclass(frozen=True)
class UnlabeledPool:
    """Images of a source that every task may learn from.

    Attributes:
        table: All images of the source that were decoded.
        rows: Rows of the images that may be learned from, in the order of the table.
        digests: Digest of the pixels of every image of the table.
        left_out: Counts of the skipped images, by reason.
    """

    table: ImageTable
    rows: Rows
    digests: Sequence[bytes]
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 over the images that may be learned from, their order and shape."""
        return self._fingerprint_of(self.rows)

    @cached_property
    def parts(self) -> Sequence[PoolPart]:
        """Return the parts of the pool, in the order of the table. A part has at most
        IMAGES_PER_PART adjacent images. It has at least one image that may be learned from, and
        includes the skipped images if at most half of its images are skipped.
        """
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

    def copy_of(self, rows: Rows) -> Tensor:
        """Return the images in some rows of the table, copied into memory, uint8 (n, c, h, w)."""
        from orchestrator.data.labeled_images import copied_rows  # noqa: PLC0415 - loads torch

        return copied_rows(self.table, rows, None)[0]

    def images(self, max_bytes: int | None) -> UnlabeledImages:
        """Return all images that may be learned from, copied into memory or, if they are too many,
        onto disk.

        Args:
            max_bytes: Largest number of bytes to copy into memory; None means no limit.

        Raises:
            StorageUnavailableError: The disk is full.
        """
        from orchestrator.data.labeled_images import (  # noqa: PLC0415 - loads torch
            UnlabeledImages,
            copied_rows,
        )

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
    """Return the pool of a table's images that may be learned from: no duplicates, and no test,
    validation or training images.

    Args:
        table: All images of the source.
        in_test: Digests of the pixels of the test images.
        in_validation: Digests of the pixels of the validation images.
        in_training: Digests of the pixels of the training images of all tasks.
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
