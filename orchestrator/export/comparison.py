"""Compare an exported file with the original model: equality of the outputs, and time per image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Int64

from orchestrator.errors import DifferentOutputsError
from orchestrator.export.arrays import Images, Predictor

# Reordering float32 sums usually changes logits by a millionth of the largest logit. A change a
# hundred times as large means that the file computes another model.
TOLERANCE = 1e-4
_BATCH = 256
_WARM_UPS = 10
_MOST_REPEATS = 200
_MOST_SECONDS = 2.0


@dataclass(frozen=True)
class Comparison:
    """Outputs of an exported file compared with those of the original model, on the same images.

    Attributes:
        largest_difference: Largest difference between a logit of the file and the same logit of the
            original.
        largest_logit: Largest absolute logit of the original.
        predictions: Class that the file predicts for each image.
        original_predictions: Class that the original predicts for each image.
    """

    largest_difference: float
    largest_logit: float
    predictions: Int64[np.ndarray, " n"]
    original_predictions: Int64[np.ndarray, " n"]

    @property
    def equal_predictions(self) -> float:
        """Return the share of images, in [0, 1], for which file and original predict the same
        class.
        """
        return float((self.predictions == self.original_predictions).mean())

    @property
    def allowed_difference(self) -> float:
        """Return the largest difference at which two logits count as equal."""
        return TOLERANCE * max(1.0, self.largest_logit)

    def require_equal(self) -> None:
        """Verify that the file computes the same logits as the original.

        Raises:
            DifferentOutputsError: Logits differ by more than rounding errors, or are NaN.
        """
        # `not … <=` instead of `>`, so that NaN is rejected as well
        if not self.largest_difference <= self.allowed_difference:
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
    """Run file and original on the same images, and compare their outputs.

    Args:
        file: The exported file.
        original: The model from which the file was made.
        images: At least one image.
        progress: Receives the number of finished images and the total number of images.
    """
    differences, logits, ours, theirs = [], [], [], []
    for rows in _batches(len(images)):
        given, expected = file(images[rows]), original(images[rows])
        differences.append(np.abs(given - expected).max())
        logits.append(np.abs(expected).max())
        ours.append(given.argmax(axis=1))
        theirs.append(expected.argmax(axis=1))
        progress(rows.stop, len(images))
    # numpy's maximum, because it propagates NaN; Python's maximum may not
    return Comparison(
        float(np.max(differences)),
        float(np.max(logits)),
        np.concatenate(ours),
        np.concatenate(theirs),
    )


def median_seconds(predict: Predictor, image: Images) -> float:
    """Return the median time of one call of a predictor, after some warm-up calls.

    Args:
        predict: Predictor to call. It should use one thread, so that times are comparable between
            machines.
        image: A batch of one image.
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
    """Yield a slice of one image, then slices of many images. The two batch sizes reveal a file
    that accepts only one batch size.
    """
    yield slice(0, 1)
    for start in range(1, num, _BATCH):
        yield slice(start, min(start + _BATCH, num))
