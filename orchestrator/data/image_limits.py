"""Limit the memory of each image, and of all images decoded at once, because images may be
untrusted.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from orchestrator.config.image_source import DEFAULT_MAX_IMAGE_PIXELS
from orchestrator.errors import DataError

# Memory for decoding an image. In measurements, Pillow took 8 bytes per pixel for most images, and
# 12 for an image that is both turned and transparent.
_BYTES_PER_PIXEL = 12
_MAX_BYTES_AT_ONCE = 400 * 2**20
_LARGE_BYTES = 64 * 2**20


class ImageLimits:
    """Limits for decoding images. An image with too many pixels is rejected. Any other image waits
    until enough memory is free.

    One object is shared by the threads that decode the images of one source.
    """

    def __init__(self, max_pixels: int = DEFAULT_MAX_IMAGE_PIXELS) -> None:
        """Set the size limit, and mark all memory for decoding as free.

        Args:
            max_pixels: Largest number of pixels of one image, width times height.
        """
        self._max_pixels = max_pixels
        self._free_bytes = max(_MAX_BYTES_AT_ONCE, max_pixels * _BYTES_PER_PIXEL)
        self._freed = Condition()

    def check(self, width: int, height: int, where: str) -> None:
        """Reject an image with too many pixels before the image is decoded.

        Raises:
            DataError: The image has too many pixels.
        """
        if width * height > self._max_pixels:
            raise DataError(
                f"has {width:,} x {height:,} = {width * height:,} pixels, more than the"
                f" {self._max_pixels:,} of data.max_image_pixels",
                where=where,
                next_step=(
                    "shrink or remove the image, or raise the limit if the image can be trusted"
                ),
            )

    @contextmanager
    def room_for(self, width: int, height: int) -> Iterator[None]:
        """Wait until the image fits into memory together with the images that other threads decode.

        Args:
            width: Width in pixels; `check` must have accepted the image.
            height: Height in pixels.
        """
        num_bytes = width * height * _BYTES_PER_PIXEL
        with self._freed:
            self._freed.wait_for(lambda: num_bytes <= self._free_bytes)
            self._free_bytes -= num_bytes
        try:
            yield
        finally:
            if num_bytes > _LARGE_BYTES:
                _give_back_memory()
            with self._freed:
                self._free_bytes += num_bytes
                self._freed.notify_all()


def _give_back_memory() -> None:
    """Return freed memory to the system; otherwise each thread would keep some hundred megabytes of
    its last large images.
    """
    # malloc_trim exists only in glibc; other C libraries do not need it
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
