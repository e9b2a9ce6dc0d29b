"""Define the class-incremental scenario: tasks that arrive in order, each with new classes.

A class is identified by its position in the class order. The k classes seen after a task therefore
always have the positions 0 to k-1.

Importing this module does not import torch, because planning a run does not need torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from orchestrator.config.scenario import Label
from orchestrator.data.image_table import ImageTable, parts_of_rows
from orchestrator.data.unlabeled import UnlabeledPool

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.data.labeled_images import LabeledImages, UnlabeledImages

Indices = npt.NDArray[np.int64]


class Split(StrEnum):
    """Purpose of images: training, choosing between configurations (validation), or final
    evaluation (test).
    """

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Task:
    """One increment of new classes.

    Attributes:
        index: Position of the task; 0 for the base task.
        new_classes: Positions of the new classes in the class order.
        num_seen_classes: Number of classes of this and all earlier tasks.
    """

    index: int
    new_classes: range
    num_seen_classes: int


@dataclass(frozen=True)
class Scenario:
    """Data set divided into tasks and splits.

    Attributes:
        table: Table with all images.
        class_names: Labels of the classes in their order of arrival.
        tasks: Tasks in order.
        indices: Rows of the images in the table, for every split and class.
        num_learned_tasks: Number of tasks learned in earlier runs, whose training images may be
            missing.
        max_bytes: Largest number of bytes of images to copy into memory at once; larger sets are
            kept on disk. None means no limit.
        unlabeled: Unlabelled images, for the methods that learn from them; None if there are none.
    """

    table: ImageTable
    class_names: tuple[str, ...]
    tasks: tuple[Task, ...]
    indices: dict[Split, tuple[Indices, ...]]
    num_learned_tasks: int = 0
    max_bytes: int | None = None
    unlabeled: UnlabeledPool | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) of every image."""
        return self.table.shape

    def labels_of(self, task: Task) -> list[Label]:
        """Return the labels of a task's new classes in the type that the source uses, integer or
        text.
        """
        names = [self.class_names[c] for c in task.new_classes]
        return [int(name) for name in names] if self.table.integer_labels else [*names]

    def targets_of(self, split: Split, classes: Sequence[int]) -> Tensor:
        """Return the labels that `images_of` would return, int64 (n,), without copying the
        images.
        """
        import torch  # noqa: PLC0415 - slow to import

        return torch.from_numpy(
            np.repeat(
                np.asarray(classes, dtype=np.int64), [len(self.indices[split][c]) for c in classes]
            )
        )

    def images_of(self, split: Split, classes: Sequence[int]) -> LabeledImages:
        """Return the images of some classes, copied from the memory-mapped table into memory or, if
        they are too many, onto disk.

        Raises:
            StorageUnavailableError: The disk is full.
        """
        from orchestrator.data.labeled_images import (  # noqa: PLC0415 - loads torch
            LabeledImages,
            copied_rows,
        )

        rows, labels = [self.indices[split][c] for c in classes], self.targets_of(split, classes)
        chosen = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        images, folder = copied_rows(self.table, chosen, self.max_bytes)
        return LabeledImages(images, labels, folder)

    def unlabeled_images(self, beside: LabeledImages) -> UnlabeledImages | None:
        """Return all unlabelled images, copied as by `images_of`; None if there are none.

        Args:
            beside: Labelled images in use at the same time, whose size counts towards `max_bytes`.

        Raises:
            StorageUnavailableError: The disk is full.
        """
        if self.unlabeled is None:
            return None
        taken = beside.images.nbytes if beside.folder is None else 0
        return self.unlabeled.images(
            None if self.max_bytes is None else max(0, self.max_bytes - taken)
        )

    def fingerprint_of(self, task: Task) -> str:
        """Return the SHA-256 over the data that a stage of a task reads: the names and the training
        images of the task's classes, and the shape of the images.
        """
        names = [self.class_names[c] for c in task.new_classes]
        digest = hashlib.sha256(repr((self.shape, names)).encode())
        for c in task.new_classes:
            digest.update(self._digests_of_training[c])
        return digest.hexdigest()

    def fingerprint_of_judging(self, task: Task) -> str:
        """Return the SHA-256 over the images that a model is evaluated on after a task: validation
        and test images of all classes seen so far.
        """
        return hashlib.sha256(
            repr((self.shape, self._digests_of_judging[: task.num_seen_classes])).encode()
        ).hexdigest()

    def fingerprint_of_images(self, split: Split, c: int) -> str:
        """Return the SHA-256 over the images of one class in one split, and their shape."""
        if split == Split.TRAIN:
            digest = self._digests_of_training[c]
        else:
            digest = dict(
                zip((Split.VALIDATION, Split.TEST), self._digests_of_judging[c], strict=True)
            )[split]
        return hashlib.sha256(repr((self.shape, digest)).encode()).hexdigest()

    @cached_property
    def _digests_of_training(self) -> list[bytes]:
        return [self._digest_of(Split.TRAIN, c) for c in range(len(self.class_names))]

    @cached_property
    def _digests_of_judging(self) -> list[tuple[bytes, bytes]]:
        classes = range(len(self.class_names))
        return [
            (self._digest_of(Split.VALIDATION, c), self._digest_of(Split.TEST, c)) for c in classes
        ]

    def _digest_of(self, split: Split, c: int) -> bytes:
        digest, rows = hashlib.sha256(), self.indices[split][c]
        for part in parts_of_rows(len(rows)):
            digest.update(np.ascontiguousarray(self.table.images[rows[part]]).data)
        return digest.digest()
