"""An image source of another distribution: NumPy archives of images and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from orchestrator.config.image_source import Half, ImageSourceExtension
from orchestrator.data.samples import Label, Sample


class NpzConfig(ImageSourceExtension):
    """Archives with the arrays `images` (images, height, width, channels) and `labels`."""

    train: Path = Field(description="Archive of the training images.")
    test: Path | None = Field(
        default=None, description="Archive of the test images; null takes a share of the others."
    )

    @property
    def places(self) -> Mapping[str, str]:
        """Return each half's archive."""
        return {"train": str(self.train), "test": str(self.test or self.train)}


class NpzSource:
    """Image source with one archive or two."""

    config = NpzConfig
    format = 1

    def __init__(self, config: NpzConfig) -> None:
        """Keep the configuration; read nothing yet."""
        self.name = config.train.stem
        self.has_test_half = config.test is not None
        self._files: dict[Half, Path | None] = {"train": config.train, "test": config.test}

    @classmethod
    def open(cls, config: NpzConfig) -> NpzSource:
        """Return the source; read nothing yet."""
        return cls(config)

    @property
    def stamp(self) -> str:
        """Return the digests of the archives."""
        digests = [
            hashlib.sha256(file.read_bytes()).hexdigest() for file in self._files.values() if file
        ]
        return " ".join(digests)

    def num_images(self, half: Half) -> int:
        """Return the number of labels."""
        file = self._files[half]
        return 0 if file is None else len(np.load(file)["labels"])

    def place(self, half: Half) -> str:
        """Return the archive."""
        return str(self._files[half])

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return none: a class exists only through its images."""
        return []

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the samples in the order of the archive."""
        file = self._files[half]
        if file is None:
            return
        for row in range(self.num_images(half)):
            yield Sample(f"{file} row {row}", "", f"{half} {row}", partial(_load, file, row))


def _load(file: Path, row: int) -> tuple[Label, object]:
    with np.load(file) as arrays:
        return str(arrays["labels"][row]), arrays["images"][row]
