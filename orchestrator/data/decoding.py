"""Decode stored images of any mode, depth and orientation to uint8 pixels of one shape, as an image
viewer shows them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from orchestrator.data.image_limits import ImageLimits
from orchestrator.errors import DataError

Shape = tuple[int, int, int]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""Supported image formats. Pillow supports more formats, but starts an external program to open one
of them.
"""

_ORIENTATION = ExifTags.Base.Orientation
_VALUES_AT_ONCE = 2**20
_SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations that swap width and height
_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_OTHER_FORMAT = "not an image of a known format"
_BROKEN = (
    f"replace the image (known formats: {', '.join(FORMATS)}) or remove it; `orchestrator data"
    " import` skips such images and lists them"
)
_PIXELS = (
    "give height x width, or height x width x 1 or 3, of integers in 0..255 or floating-point"
    " numbers in [0, 1]"
)


@dataclass(frozen=True)
class DecodedImage:
    """Decoded image, with its original size and mode.

    Attributes:
        pixels: uint8 (channels, height, width).
        size: (width, height) of the upright image in pixels, before resizing.
        mode: Pillow's name of the stored mode (`L`, `RGB`, `RGBA`, `P`, `I;16`, …), or `pixels` for
            arrays and lists.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]
    mode: str


def decode(
    content: object, shape: Shape, where: str, limits: ImageLimits | None = None
) -> DecodedImage:
    """Decode one image.

    Args:
        content: Encoded bytes, a mapping with the bytes under `bytes` (as Hugging Face stores
            them), pixels as an array or nested lists, or an opened image.
        shape: (channels, height, width) of the result.
        where: Name of the image in errors.
        limits: Limits shared by all images that are decoded at the same time; None means the
            default limits.

    Raises:
        DataError: The image is missing, cannot be decoded, or is too large.
    """
    limits = limits or ImageLimits()
    stored = encoded_bytes(content)
    if stored is None:
        raise DataError("has no image", where=where, next_step="remove the row")
    try:
        image = opened(stored, where, limits)
        mode, (width, height) = (
            image.mode if isinstance(stored, bytes | Image.Image) else "pixels",
            image.size,
        )
        # large JPEGs are shrunk during decoding, but to twice the final size, so that the final
        # resizing stays smooth
        image.draft(None, (2 * shape[2], 2 * shape[1]))
        turned = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
        with limits.room_for(width, height):
            pixels = _to_array(upright(image), shape)
        return DecodedImage(pixels, (height, width) if turned else (width, height), mode)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise anything on broken bytes
        raise DataError(
            f"cannot be decoded ({_said(error)})", where=where, next_step=_BROKEN
        ) from None


def opened(stored: object, where: str, limits: ImageLimits) -> Image.Image:
    """Open an image in one of `FORMATS` without decoding it. No other function of this project
    opens images.

    Args:
        stored: Encoded bytes, an opened image, or pixels.
        where: Name of the image in errors.
        limits: Size limits.

    Raises:
        DataError: The pixels are not an image, the format is not supported, or the image is too
            large.
        Exception: Pillow cannot open the bytes; the error is Pillow's own.
    """
    image: Image.Image
    if isinstance(stored, bytes):
        image = Image.open(io.BytesIO(stored), formats=FORMATS)
    elif isinstance(stored, Image.Image):
        image = stored
        if image.format not in (None, "MPO", *FORMATS):  # MPO is Pillow's name for some JPEG files
            raise DataError(f"{_OTHER_FORMAT} ({image.format})", where=where, next_step=_BROKEN)
    else:
        image = _from_pixels(stored, where)
    limits.check(*image.size, where)
    return image


@contextmanager
def opening_named_formats(limits: ImageLimits) -> Iterator[None]:
    """Apply the size limits and the list of formats to packages that open images without calling
    `opened`, such as the data sets of torchvision. Not thread-safe.

    Pillow has no setting for such limits, so Pillow's `open` is replaced. PPM is allowed because
    some data sets of torchvision use it.
    """
    unbounded = Image.open

    def bounded(
        file: Any,  # noqa: ANN401 - anything that Pillow opens
        mode: Literal["r"] = "r",
        formats: tuple[str, ...] | None = None,
    ) -> Image.Image:
        image = unbounded(file, mode, formats=formats or (*FORMATS, "PPM"))
        try:
            limits.check(*image.size, str(getattr(file, "name", file)))
        except DataError:
            image.close()
            raise
        return image

    Image.open = bounded  # type: ignore[assignment]
    try:
        yield
    finally:
        Image.open = unbounded


def encoded_bytes(content: object) -> object:
    """Return the image in a cell: the `bytes` of a mapping, or any other content unchanged."""
    return content.get("bytes") if isinstance(content, dict) else content


def content_digest(content: object) -> bytes:
    """Return the SHA-256 of a stored image. The hash covers the encoded bytes or, without encoded
    bytes, the pixels.
    """
    stored = encoded_bytes(content)
    if isinstance(stored, Image.Image):
        stored = np.asarray(stored)
    if isinstance(stored, np.ndarray):
        stored = f"{stored.dtype} {stored.shape} ".encode() + stored.tobytes()
    if not isinstance(stored, bytes):
        stored = json.dumps(stored).encode()
    return hashlib.sha256(stored).digest()


def upright(image: Image.Image) -> Image.Image:
    """Return the image as an image viewer shows it, in the mode `L` or `RGB`.

    The returned image is turned according to its EXIF data, and has 8 bits per channel and a white
    background instead of transparency.

    Raises:
        ValueError: The range of the pixels is unknown, or Pillow cannot convert the mode.
    """
    image.load()
    # Skip each step that would not change the image, because the step would still copy a large
    # image.
    is_turned = image.getexif().get(_ORIENTATION, 1) != 1
    turned = ImageOps.exif_transpose(image) if is_turned else image
    if turned.mode in _DEEP_GREY:
        return _from_deep_grey(turned)
    if turned.mode == "F":
        return _from_floating_point(turned)
    if turned.has_transparency_data:
        return _on_white(turned)
    return _as_mode("L" if turned.mode in ("1", "L") else "RGB", turned)


def shrunk(image: Image.Image, shorter_side: int) -> Image.Image:
    """Return the upright image, resized to a given length of its shorter side."""

    def size(width: int, height: int) -> tuple[int, int]:
        share = shorter_side / min(width, height)
        return max(shorter_side, round(share * width)), max(shorter_side, round(share * height))

    width, height = size(*image.size)
    image.draft(None, (2 * width, 2 * height))
    turned = upright(image)
    return turned.resize(size(*turned.size), Image.Resampling.LANCZOS)


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image with its transparent parts on white. Rows are processed in blocks, because
    the conversion temporarily takes four times the memory of a block.
    """
    found = Image.new("RGB", image.size)
    num_rows = max(1, _VALUES_AT_ONCE // image.width)
    for row in range(0, image.height, num_rows):
        box = (0, row, image.width, min(row + num_rows, image.height))
        part = _as_mode("RGBA", image.crop(box))
        white = Image.new("RGBA", part.size, "white")
        found.paste(Image.alpha_composite(white, part).convert("RGB"), box)
    return found


def _as_mode(mode: str, image: Image.Image) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        msg = f"grey values from {pixels.min()} to {pixels.max()}, but only 16 bits are supported"
        raise ValueError(msg)
    scaled = np.empty(pixels.shape, dtype=np.uint8)
    num_rows = max(1, _VALUES_AT_ONCE // image.width)
    # divide in blocks of rows, because dividing by 257 takes eight bytes per pixel
    for row in range(0, image.height, num_rows):
        part = slice(row, row + num_rows)
        scaled[part] = np.rint(pixels[part].astype(np.float64) / 257)
    return Image.fromarray(scaled)


def _from_floating_point(image: Image.Image) -> Image.Image:
    try:
        return _from_pixels(np.asarray(image), "")
    except DataError as error:
        raise ValueError(error.what) from None


def _from_pixels(content: object, where: str) -> Image.Image:
    try:
        pixels = np.asarray(content)
        numeric = np.issubdtype(pixels.dtype, np.number)
    except ValueError:
        numeric = False
    if (
        not numeric
        or pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3))
        or not pixels.size
    ):
        raise DataError("is not an image of pixels", where=where, next_step=_PIXELS)
    if not np.isfinite(pixels).all():
        count = int((~np.isfinite(pixels)).sum())
        raise DataError(
            f"has {count} pixels that are NaN or infinite",
            where=where,
            next_step="replace the image or remove the row",
        )
    highest = 1.0 if np.issubdtype(pixels.dtype, np.floating) else 255
    if pixels.min() < 0 or pixels.max() > highest:
        raise DataError(
            f"has pixels from {pixels.min()} to {pixels.max()}", where=where, next_step=_PIXELS
        )
    scaled = np.rint(pixels * (255 / highest)).astype(np.uint8)
    return Image.fromarray(
        scaled.squeeze(axis=2) if scaled.ndim == 3 and scaled.shape[2] == 1 else scaled
    )


def _to_array(image: Image.Image, shape: Shape) -> npt.NDArray[np.uint8]:
    channels, height, width = shape
    converted = _as_mode("L" if channels == 1 else "RGB", image)
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(converted, dtype=np.uint8)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)


def _said(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # Pillow's message has a memory address
        return _OTHER_FORMAT
    return " ".join(str(error).split()) or type(error).__name__
