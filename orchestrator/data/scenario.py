"""The class-incremental scenario: tasks that arrive in order, each with new classes.

A class is known by its position in the class order, so the classes seen after task i are always 0 …
k-1, in that order.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional

from orchestrator.config.data import Label, ScenarioConfig
from orchestrator.data.image_table import ImageTable, room_on_disk
from orchestrator.data.samples import natural_key
from orchestrator.errors import DataError

Indices = npt.NDArray[np.int64]
MIN_TRAINING_IMAGES = 2
_ROWS_AT_ONCE = 256


class Split(StrEnum):
    """What images are for: learning, choosing between configurations, or the final judgement."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Task:
    """One increment of new classes.

    Attributes:
        index: 0 for the base task.
        new_classes: Their positions in the class order.
        num_seen_classes: Classes of this and all earlier tasks.
    """

    index: int
    new_classes: range
    num_seen_classes: int


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
        """The same after one image of each of the first classes, in memory or on disk as before."""
        if not len(exemplars):
            return self
        num_old, labels = len(exemplars), torch.cat([torch.arange(len(exemplars)), self.labels])
        joined = self._room((num_old + len(self), *self.shape))
        joined[:num_old], joined[num_old:] = exemplars, self.images
        return LabeledImages(joined, labels, self.folder)

    def resized(self, size: int) -> LabeledImages:
        """The same at another size, in memory or on disk as before.

        Args:
            size: Side in pixels.
        """
        channels, _, width = self.shape
        if width == size:
            return self
        smaller = self._room((len(self), channels, size, size))
        for part in _parts(len(self)):
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


@dataclass(frozen=True)
class Scenario:
    """A data set cut into tasks and splits.

    Attributes:
        table: The images.
        class_names: Labels in the order in which they arrive.
        tasks: In order.
        indices: For every split and class, rows of the table.
        num_learned_tasks: Tasks that have been learned earlier: their training images may be gone.
        max_bytes: Most bytes of images that are copied into memory at once; more of them lie on
            disk. None means no bound.
    """

    table: ImageTable
    class_names: tuple[str, ...]
    tasks: tuple[Task, ...]
    indices: dict[Split, tuple[Indices, ...]]
    num_learned_tasks: int = 0
    max_bytes: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.table.shape

    def labels_of(self, task: Task) -> list[Label]:
        """A task's new labels, as the source has them: integers or text."""
        names = [self.class_names[c] for c in task.new_classes]
        return [int(name) for name in names] if self.table.integer_labels else [*names]

    def targets_of(self, split: Split, classes: Sequence[int]) -> Int64[Tensor, " n"]:
        """The labels of `images_of`, without a copy of the images."""
        return torch.from_numpy(
            np.repeat(
                np.asarray(classes, dtype=np.int64), [len(self.indices[split][c]) for c in classes]
            )
        )

    def images_of(self, split: Split, classes: Sequence[int]) -> LabeledImages:
        """The images of some classes, copied out of the memory-mapped table: into memory, or where
        they are too many, onto disk.

        Raises:
            StorageUnavailableError: There is no room on disk.
        """
        rows, labels = [self.indices[split][c] for c in classes], self.targets_of(split, classes)
        chosen = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
        if self.max_bytes is None or len(chosen) * math.prod(self.shape) <= self.max_bytes:
            return LabeledImages(torch.from_numpy(self.table.images[chosen]), labels)
        folder = self.table.path.parent
        copied = room_on_disk(folder, (len(chosen), *self.shape))
        for part in _parts(len(chosen)):
            copied[part] = self.table.images[chosen[part]]
        return LabeledImages(torch.from_numpy(copied), labels, folder)

    def fingerprint_of(self, task: Task) -> str:
        """SHA-256 over what a stage of this task reads: its class names, training images and the
        images' shape.
        """
        names = [self.class_names[c] for c in task.new_classes]
        digest = hashlib.sha256(repr((self.shape, names)).encode())
        for c in task.new_classes:
            digest.update(self._digests_of_training[c])
        return digest.hexdigest()

    def fingerprint_of_judging(self, task: Task) -> str:
        """SHA-256 over what a model is judged by after a task: validation and test images of all
        classes seen so far.
        """
        return hashlib.sha256(
            repr((self.shape, self._digests_of_judging[: task.num_seen_classes])).encode()
        ).hexdigest()

    def fingerprint_of_images(self, split: Split, c: int) -> str:
        """SHA-256 over the images of one class in one split, and their shape."""
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
        for part in _parts(len(rows)):
            digest.update(np.ascontiguousarray(self.table.images[rows[part]]).data)
        return digest.digest()


def _parts(num: int) -> list[slice]:
    """So many rows at a time as take little memory."""
    return [slice(start, start + _ROWS_AT_ONCE) for start in range(0, num, _ROWS_AT_ONCE)]


def build_scenario(
    table: ImageTable, config: ScenarioConfig, validation_fraction: float, seed: int
) -> Scenario:
    """Cuts a data set into tasks and its training images into training and validation.

    Args:
        table: The images.
        config: Class order and task sizes.
        validation_fraction: Share of each class's training images that is set aside, in [0, 1).
        seed: Decides which images are set aside, and which are kept under `max_images_per_class`.

    Raises:
        DataError: Unknown labels in the class order, too few classes, or a class without enough
            images in a split.
    """
    if config.tasks is None:
        class_names = _class_order(table, config.class_order)
        tasks = _cut_into_tasks(len(class_names), config)
    else:
        class_names = _class_order(
            table, [label for task in config.tasks for label in task], "scenario.tasks"
        )
        tasks = _tasks_of_sizes([len(task) for task in config.tasks])
    num_learned_tasks = config.learned.num_tasks if config.learned else 0
    num_learned = tasks[num_learned_tasks].new_classes.start
    _check_same_classes(table, class_names, num_learned)
    indices: dict[Split, list[Indices]] = {split: [] for split in Split}
    for position, name in enumerate(class_names):
        rows = np.flatnonzero(table.labels == name)
        train, validation = rows[~table.is_test[rows]], rows[:0]
        if position >= num_learned:
            train, validation = _set_aside(
                train, validation_fraction, _random(seed, "validation", name), name
            )
        if position >= tasks[0].num_seen_classes and config.max_images_per_class is not None:
            shuffled = _random(seed, "max_images_per_class", name).permutation(train)
            train = np.sort(shuffled[: config.max_images_per_class])
        indices[Split.TRAIN].append(train)
        indices[Split.VALIDATION].append(validation)
        indices[Split.TEST].append(rows[table.is_test[rows]])
    return Scenario(
        table,
        class_names,
        tasks,
        {split: tuple(rows) for split, rows in indices.items()},
        num_learned_tasks,
    )


def _class_order(
    table: ImageTable, order: int | Sequence[Label], where: str = "scenario.class_order"
) -> tuple[str, ...]:
    labels = sorted(set(table.labels.tolist()), key=natural_key)
    if isinstance(order, int):
        return tuple(_random(order, "class_order").permutation(labels).tolist())
    for label in order:
        if str(label) not in labels:
            nearest = difflib.get_close_matches(str(label), labels, n=1)
            advice = (
                f"did you mean {nearest[0]}?" if nearest else f"labels are {', '.join(labels[:20])}"
            )
            raise DataError(
                f"the data set {table.name} has no label {label!r}", where=where, next_step=advice
            )
    return tuple(str(label) for label in order)


def _check_same_classes(table: ImageTable, class_names: Sequence[str], num_learned: int) -> None:
    in_test, in_train = (
        set(table.labels[table.is_test].tolist()),
        set(table.labels[~table.is_test].tolist()),
    )
    for position, name in enumerate(class_names):
        for present, split in ((in_train, "training"), (in_test, "test")):
            if name not in present and (split == "test" or position >= num_learned):
                raise DataError(
                    f"class {name!r} has no {split} images",
                    where=table.name,
                    next_step=f"add {split} images or leave it out of scenario.class_order",
                )


def _cut_into_tasks(num_classes: int, config: ScenarioConfig) -> tuple[Task, ...]:
    base, step = config.num_base_classes, config.classes_per_task
    if base > num_classes:
        raise DataError(
            f"num_base_classes = {base}, but there are only {num_classes} classes",
            where="scenario",
            next_step=f"set it to at most {num_classes}",
        )
    if num_classes > base and step > num_classes - base:
        raise DataError(
            f"classes_per_task = {step}, but only {num_classes - base} of {num_classes} classes are"
            " left after the first task",
            where="scenario",
            next_step=f"set it to at most {num_classes - base}",
        )
    return _tasks_of_sizes(
        [base, *(min(step, num_classes - start) for start in range(base, num_classes, step))]
    )


def _tasks_of_sizes(sizes: Sequence[int]) -> tuple[Task, ...]:
    ends = [*accumulate(sizes)]
    return tuple(
        Task(i, range(end - size, end), end)
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    )


def _set_aside(
    rows: Indices, fraction: float, random: np.random.Generator, name: str
) -> tuple[Indices, Indices]:
    num_validation = max(1, round(fraction * len(rows))) if fraction > 0 else 0
    if len(rows) - num_validation < MIN_TRAINING_IMAGES:
        raise DataError(
            f"class {name!r} has {len(rows)} training images, {num_validation} of them for"
            f" validation: fewer than {MIN_TRAINING_IMAGES} are left to learn from",
            where="data",
            next_step=(
                "add images, leave the class out of scenario.class_order, or lower"
                " data.validation_fraction"
            ),
        )
    shuffled = random.permutation(rows)
    return np.sort(shuffled[num_validation:]), np.sort(shuffled[:num_validation])


def _random(seed: int, *purpose: str) -> np.random.Generator:
    return np.random.default_rng(
        int.from_bytes(hashlib.sha256(repr((seed, purpose)).encode()).digest()[:8], "big")
    )
