"""Split a source without test images. In every class, a share of the images, chosen by their
content, becomes test data.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from orchestrator.config.image_source import Half
from orchestrator.data.decoding import content_digest
from orchestrator.data.samples import ImageSource, Sample, in_threads
from orchestrator.errors import DataError


class SplitByContent:
    """Source whose test data are, in each class, the images with the lowest digests.

    This split needs no seed, does not depend on the order or names of files, and keeps equal images
    of a class in the same half.
    """

    has_test_half = True

    def __init__(self, whole: ImageSource, test_fraction: float) -> None:
        """Store the source without reading it.

        Args:
            whole: Source with all images in the half `train`.
            test_fraction: Share of each class's images that becomes test data, in (0, 1). At least
                one image of each class becomes test data.
        """
        self._whole = whole
        self._test_fraction = test_fraction

    @property
    def name(self) -> str:
        """Return the name of the source that is split."""
        return self._whole.name

    @property
    def stamp(self) -> str:
        """Return the stamp, a text that changes when the images or `test_fraction` change."""
        return hashlib.sha256(f"{self._whole.stamp} {self._test_fraction}".encode()).hexdigest()

    def num_images(self, half: Half) -> int:
        """Return the number of training or test images."""
        return sum(is_test == (half == "test") for is_test in self._is_test)

    def place(self, half: Half) -> str:
        """Return the place of the source that is split, such as a folder, for both halves."""
        return self._whole.place("train")

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return the empty classes of the source that is split if `half` is the training half, and
        no classes if `half` is the test half.
        """
        return self._whole.empty_classes("train") if half == "train" else []

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the training or test images in the order of the source that is split."""
        for sample, is_test in zip(self._whole.samples("train"), self._is_test, strict=True):
            if is_test == (half == "test"):
                yield sample

    @cached_property
    def _is_test(self) -> list[bool]:
        """Return, for every image, whether it is test data; unreadable images stay in training,
        where decoding reports them.
        """
        keys = list(in_threads(_label_and_digest, self._whole.samples("train")))
        digests_of: dict[str, list[bytes]] = defaultdict(list)
        for label, digest in filter(None, keys):
            digests_of[label].append(digest)
        limits = {
            label: _limit(sorted(digests), self._test_fraction)
            for label, digests in digests_of.items()
        }
        return [key is not None and key[1] <= limits[key[0]] for key in keys]


def _label_and_digest(sample: Sample) -> tuple[str, bytes] | None:
    try:
        label, content = sample.load()
    except (OSError, DataError):
        return None
    return str(label), content_digest(content)


def _limit(digests: Sequence[bytes], fraction: float) -> bytes:
    """Return the highest digest among the images that become test data."""
    return digests[max(1, round(fraction * len(digests))) - 1]
