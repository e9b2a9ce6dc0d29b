"""An exported file beside the original: whether it gives the same, and how long an image takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Int64

from orchestrator.errors import DifferentOutputsError
from orchestrator.export.arrays import Images, Predictor

# Sums of float32 in another order: a millionth of the largest logit is usual, a hundred times that
# is another model.
TOLERANCE = 1e-4
_BATCH = 256
_WARM_UPS = 10
_MOST_REPEATS = 200
_MOST_SECONDS = 2.0


@dataclass(frozen=True)
class Comparison:
    """A file's outputs beside the original's, on the same images.

    Attributes:
        largest_difference: Of two logits.
        largest_logit: Of the original, as an absolute value.
        predictions: The file's class of each image.
        original_predictions: The original's.
    """

    largest_difference: float
    largest_logit: float
    predictions: Int64[np.ndarray, " n"]
    original_predictions: Int64[np.ndarray, " n"]

    @property
    def equal_predictions(self) -> float:
        """Share of the images whose class is the same, in [0, 1]."""
        return float((self.predictions == self.original_predictions).mean())

    @property
    def allowed_difference(self) -> float:
        """Up to which logits are taken as equal."""
        return TOLERANCE * max(1.0, self.largest_logit)

    def require_equal(self) -> None:
        """Sees that the file is the original.

        Raises:
            DifferentOutputsError: Logits differ by more than rounding, or are no numbers.
        """
        if not self.largest_difference <= self.allowed_difference:  # also where it is NaN
            raise DifferentOutputsError(
                "the exported file's logits differ from the original's by up to"
                f" {self.largest_difference:.3g} (allowed: {self.allowed_difference:.1g});"
                f" {self.equal_predictions:.1%} of the predictions are equal",
                next_step=(
                    "nothing was written; please report it with the versions of torch and"
                    " onnxruntime"
                ),
            )


def compare(
    file: Predictor, original: Predictor, images: Images, progress: Callable[[int, int], None]
) -> Comparison:
    """Runs file and original over images.

    Args:
        file: The exported one.
        original: What it was made of.
        images: At least one.
        progress: Receives the number of images that are done, and of all.
    """
    differences, logits, ours, theirs = [], [], [], []
    for rows in _batches(len(images)):
        given, expected = file(images[rows]), original(images[rows])
        differences.append(np.abs(given - expected).max())
        logits.append(np.abs(expected).max())
        ours.append(given.argmax(axis=1))
        theirs.append(expected.argmax(axis=1))
        progress(rows.stop, len(images))
    # numpy's maximum hands NaN on; Python's may not
    return Comparison(
        float(np.max(differences)),
        float(np.max(logits)),
        np.concatenate(ours),
        np.concatenate(theirs),
    )


def median_seconds(predict: Predictor, image: Images) -> float:
    """Median time of one call, after some to warm up.

    Args:
        predict: With one thread, for numbers that other machines can be compared by.
        image: A batch of one.
    """
    for _ in range(_WARM_UPS):
        predict(image)
    seconds: list[float] = []
    while len(seconds) < _MOST_REPEATS and sum(seconds) < _MOST_SECONDS:
        started = time.perf_counter()
        predict(image)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _batches(num: int) -> Iterator[slice]:
    """One image alone, then large batches: a file that knows only one size of batch does not
    pass.
    """
    yield slice(0, 1)
    for start in range(1, num, _BATCH):
        yield slice(start, min(start + _BATCH, num))
