"""Images of numbers, composed of real handwritten digits: as many classes as a benchmark needs.

An image shows the digits of its number side by side, each an image of scikit-learn's digits, drawn
at random with a seed. The images of a part (train, validation, test) are composed of the part's own
digits, so no digit of a test image was learned from.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIDE = 8  # pixels, of a digit
Digits = dict[int, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Numbers:
    """Classes and images to compose.

    Attributes:
        places: Digits of a number.
        num_classes: Number of classes, drawn from all numbers of so many digits.
        num_train: Training images of each class.
        num_test: Test images of each class.
        size: Side in pixels of the square in whose middle the digits stand.
        num_channels: Channels that the networks see; all are alike.
    """

    places: int
    num_classes: int
    num_train: int
    num_test: int
    size: int
    num_channels: int

    def names(self, seed: int) -> list[str]:
        """Return the classes in the order of their arrival, so that a task's numbers differ."""
        order = np.random.default_rng(seed).permutation(10**self.places)[: self.num_classes]
        return [f"{number:0{self.places}}" for number in order]

    def write(self, folder: Path, seed: int, *, validation: bool = False) -> list[str]:
        """Write the images.

        Args:
            folder: Folder for `train.parquet` and `test.parquet`.
            seed: Seed of all draws.
            validation: Whether to use half of the training digits as test digits instead of the
                real ones, as when settings are chosen.

        Returns:
            Overrides for an experiment to read the images.
        """
        images, digits = load_digits(return_X_y=True)
        parts = _halves(np.round(images / 16 * 255).astype(np.uint8), digits, seed)
        if validation:
            parts = _halves(*parts[0], seed)
        names = self.names(seed)
        for part, own, num in zip(
            ("train", "test"), parts, (self.num_train, self.num_test), strict=True
        ):
            _write(folder / f"{part}.parquet", self._composed(_by_digit(*own), names, num, seed))
        settings = {
            "kind": "parquet",
            **{part: str(folder / f"{part}.parquet") for part in ("train", "test")},
            "image_size": self.size,
            "num_channels": self.num_channels,
            "validation_fraction": 0,
        }
        return [
            f"data={json.dumps(settings)}",
            f"scenario.class_order={json.dumps(names)}",  # quoted, as YAML takes 010 for a number
        ]

    def _composed(
        self, digits: Digits, names: list[str], num_images: int, seed: int
    ) -> list[tuple[bytes, str]]:
        """Return a PNG file and the name of each image."""
        draw = np.random.default_rng([seed, 1])
        top, left = (self.size - SIDE) // 2, (self.size - self.places * SIDE) // 2
        composed = []
        for name in [name for name in names for _ in range(num_images)]:
            places = [digits[int(c)][draw.integers(len(digits[int(c)]))] for c in name]
            canvas = np.zeros((self.size, self.size), np.uint8)
            canvas[top : top + SIDE, left : self.size - left] = np.concatenate(places, axis=1)
            file = io.BytesIO()
            Image.fromarray(canvas).save(file, "PNG")
            composed.append((file.getvalue(), name))
        return composed


_Part = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int_]]


def _halves(images: npt.NDArray[np.uint8], digits: npt.NDArray[np.int_], seed: int) -> list[_Part]:
    first, second, of_first, of_second = train_test_split(
        images, digits, test_size=0.5, stratify=digits, random_state=seed
    )
    return [(first, of_first), (second, of_second)]


def _by_digit(images: npt.NDArray[np.uint8], digits: npt.NDArray[np.int_]) -> Digits:
    return {digit: images[digits == digit].reshape(-1, SIDE, SIDE) for digit in range(10)}


def _write(file: Path, composed: list[tuple[bytes, str]]) -> None:
    images, labels = zip(*composed, strict=True)
    pq.write_table(pa.table({"image": images, "label": labels}), file)
