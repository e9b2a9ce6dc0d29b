"""Choose a random sample of images in one pass over files: the images with the smallest digests.

The order of the files does not matter, and duplicate images count once. An image is decoded only if
its digest is among the smallest so far.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.config.retraining import Retraining
from orchestrator.data.growing_folder import Folder, ParquetContent, is_held_out, read_content
from orchestrator.errors import DataError
from orchestrator.retraining.lineage import TakenFile
from orchestrator.retraining.registration import Registered

Pixels = npt.NDArray[np.uint8]


class Sample:
    """A random sample of the images that were passed to `offer`, with a maximum size.

    Attributes:
        damaged: One error message for each image that could not be decoded.
    """

    def __init__(self, max_images: int, shape: tuple[int, int, int], max_pixels: int) -> None:
        """Create an empty sample.

        Args:
            max_images: Maximum number of images to keep.
            shape: (channels, height, width) to which every image is converted.
            max_pixels: Maximum number of pixels of an image; larger images count as damaged.
        """
        self._max_pixels = max_pixels
        self._max_images = max_images
        self._shape = shape
        self._largest_first: list[tuple[int, int]] = []  # heap of (-digest, index) of images
        self._images: list[Pixels] = []
        self._known: set[bytes] = set()
        self.damaged: list[str] = []

    def offer(self, content: ParquetContent, rows: Iterable[int]) -> None:
        """Offer images of a file; the sample keeps the offered images with the smallest digests.

        Args:
            content: Content of the file.
            rows: Rows of the images to offer.
        """
        for row in rows:
            digest = content.digests[row]
            if digest not in self._known and self._belongs(-int.from_bytes(digest, "big")):
                self._known.add(digest)
                self._take(content, row, -int.from_bytes(digest, "big"))

    def images(self) -> Pixels:
        """Return the sampled images as one array, (images, channels, height, width)."""
        return np.stack(self._images) if self._images else np.empty((0, *self._shape), np.uint8)

    def __len__(self) -> int:
        return len(self._images)

    def _belongs(self, key: int) -> bool:
        return len(self._images) < self._max_images or key > self._largest_first[0][0]

    def _take(self, content: ParquetContent, row: int, key: int) -> None:
        try:
            [pixels] = content.decode([row], self._shape, self._max_pixels)
        except DataError as error:
            self.damaged.append(str(error))
            return
        if len(self._images) < self._max_images:
            heapq.heappush(self._largest_first, (key, len(self._images)))
            self._images.append(pixels)
        else:
            _, place = heapq.heapreplace(self._largest_first, (key, self._largest_first[0][1]))
            self._images[place] = pixels


def held_out_images(
    retraining: Retraining, champion: Registered, kept: Sequence[TakenFile]
) -> Pixels:
    """Return a sample of at most `monitoring.max_images` held-out images of the champion's classes.

    Args:
        retraining: Configuration of the retraining, including the source and the maximum number.
        champion: The model whose classes and image shape are used.
        kept: Present files from which the champion learned.

    Raises:
        DataError: A file cannot be read.
        StorageUnavailableError: The source does not answer.
    """
    source, lineage = retraining.source, champion.lineage
    folder = Folder(source.path)
    max_pixels = retraining.experiment.data.max_image_pixels
    sample = Sample(retraining.monitoring.max_images, champion.experiment.data.shape, max_pixels)
    for file in kept:
        labels = {
            label for label in file.num_images if file.delivery <= lineage.deliveries.get(label, 0)
        }
        if not labels:
            continue
        content = read_content(folder, file.name)
        held_out = held_out_rows(content, source.held_out_fraction)
        sample.offer(content, [row for row in held_out if str(content.labels[row]) in labels])
    return sample.images()


def held_out_rows(content: ParquetContent, fraction: float) -> list[int]:
    """Return a file's held-out rows, whose images no model learns from.

    Args:
        content: Content of the file.
        fraction: Share of the source's images that is held out.
    """
    return [row for row, digest in enumerate(content.digests) if is_held_out(digest, fraction)]
