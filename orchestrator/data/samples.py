"""Define the interface of image sources, which provide images before decoding. Provide functions
that process such images in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias, TypeVar

import joblib

from orchestrator.config.image_source import Half

HALVES: tuple[Half, Half] = ("train", "test")
Label: TypeAlias = int | str
# Function that receives the number of finished images and the total number of images.
Progress: TypeAlias = Callable[[int, int], None]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample:
    """Image that has not been read yet.

    Attributes:
        where: Name of the image in messages: a path, or a file and a row.
        name: File name of the image; empty if it has none.
        stamp: Text that changes when the image or its label changes; unique within the source.
        load: Function that returns the label, and the content as `decoding.decode` accepts it. The
            function is thread-safe. It raises `OSError` if the image cannot be read, and
            `DataError` if the image has no label.
    """

    where: str
    name: str
    stamp: str
    load: Callable[[], tuple[Label, object]]


class ImageSource(Protocol):
    """Protocol of a source of labelled images in two halves, training and test."""

    @property
    def name(self) -> str:
        """Return the name of the data set."""

    @property
    def stamp(self) -> str:
        """Return a text that changes when any content that the source reads changes.

        Decoded images are cached under this stamp. The stamp is requested before every run and must
        be cheap to compute.
        """

    @property
    def has_test_half(self) -> bool:
        """Return whether the source has test images. If the source has none, a share of each class
        becomes test data.
        """

    def num_images(self, half: Half) -> int:
        """Return the number of training or test images, readable or not."""

    def place(self, half: Half) -> str:
        """Return the place of the training or test images, such as a folder, for messages."""

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return the class folders that have no images."""

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the training or test images, always in the same order."""


def natural_key(label: str) -> tuple[int, int, str]:
    """Return a sort key for labels. Numbers are ordered by value and come before text; different
    labels have different keys.
    """
    return (0, int(label), label) if label.isdecimal() else (1, 0, label)


def ignore_progress(done: int, total: int) -> None:
    """Discard the reported progress."""


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last list may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], batch_size: int = 128
) -> Iterator[Result]:
    """Yield the results of `work` in the order of the items, using one thread per CPU.

    Threads suffice because Pillow, hashlib and file reads release the interpreter's lock. The
    results of only one batch of items are in memory at a time.
    """
    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        for batch in in_batches(items, batch_size):
            yield from threads.map(work, batch)
