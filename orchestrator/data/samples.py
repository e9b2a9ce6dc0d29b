"""A source of images before they are decoded: what every kind of source gives, and how its images
are worked on in parallel.
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
# Told how many images are done, and of how many.
Progress: TypeAlias = Callable[[int, int], None]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample:
    """An image that has not been read yet.

    Attributes:
        where: What it is called in messages: a path, or a file and a row.
        name: Its file name; empty where it has none.
        stamp: Changes when the image or its label does; unique within the source.
        load: Reads it: its label, and its content as `decoding.decode` takes it. Safe to call from
            several threads; raises `OSError` where it cannot be read, and `DataError` where there
            is no label.
    """

    where: str
    name: str
    stamp: str
    load: Callable[[], tuple[Label, object]]


class ImageSource(Protocol):
    """Images with labels in two halves, wherever they lie."""

    @property
    def name(self) -> str:
        """Return what the data set is called."""

    @property
    def stamp(self) -> str:
        """Return a text that changes when anything does that the source reads.

        Decoded images are cached by it: it is asked for before every run and must be cheap.
        """

    @property
    def has_test_half(self) -> bool:
        """Return whether there are test images; if not, a share of each class becomes test data."""

    def num_images(self, half: Half) -> int:
        """Return how many images a half has, readable or not."""

    def place(self, half: Half) -> str:
        """Return where a half lies, for messages."""

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return the folders of classes without images."""

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the images of a half, always in the same order."""


def natural_key(label: str) -> tuple[int, int, str]:
    """Sorts numbers by value, before text; no two labels are equal."""
    return (0, int(label), label) if label.isdecimal() else (1, 0, label)


def ignore_progress(done: int, total: int) -> None:
    """Tells nobody."""


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], batch_size: int = 128
) -> Iterator[Result]:
    """The results of some work, in the order of the items, by as many threads as there are CPUs.

    Pillow decodes, hashlib digests and files are read without the interpreter's lock. Only a batch
    is in memory at a time.
    """
    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        for batch in in_batches(items, batch_size):
            yield from threads.map(work, batch)
