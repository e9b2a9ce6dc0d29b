"""Whatever a source stores as an image → uint8 pixels of one shape: all modes, depths and
orientations, as a viewer shows them.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from orchestrator.errors import DataError

Shape = tuple[int, int, int]

_ORIENTATION = ExifTags.Base.Orientation
_SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations that swap width and height
_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_BROKEN = (
    "replace the image or leave it out; `orchestrator data import` leaves such images out and lists"
    " them"
)
_PIXELS = (
    "give height x width, or height x width x 1 or 3, of integers in 0..255 or floating-point"
    " numbers in [0, 1]"
)


@dataclass(frozen=True)
class DecodedImage:
    """An image as the models see it, and what it was.

    Attributes:
        pixels: uint8 (channels, height, width).
        size: (width, height) before resizing, as a viewer shows it; pixels.
        mode: How the source stores it, in Pillow's words: `L`, `RGB`, `RGBA`, `P`, `I;16`, …;
            `pixels` for arrays and lists.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]
    mode: str


def decode(content: object, shape: Shape, where: str) -> DecodedImage:
    """Decodes one image.

    Args:
        content: Encoded bytes, a mapping with them under `bytes` (as Hugging Face stores them),
            pixels as an array or nested lists, or an opened image.
        shape: (channels, height, width) to which it is converted.
        where: What it is called in errors.

    Raises:
        DataError: There is nothing, or nothing that can be decoded.
    """
    stored = encoded_bytes(content)
    if stored is None:
        raise DataError("has no image", where=where, next_step="remove the row")
    try:
        image = opened(stored, where)
        mode, (width, height) = (
            image.mode if isinstance(stored, bytes | Image.Image) else "pixels",
            image.size,
        )
        # large JPEGs are shrunk while they are decoded; twice the size is left for a smooth last
        # step
        image.draft(None, (2 * shape[2], 2 * shape[1]))
        turned = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
        return DecodedImage(
            _to_array(upright(image), shape), (height, width) if turned else (width, height), mode
        )
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - a decoder that reads broken bytes may raise anything
        raise DataError(
            f"cannot be decoded ({_said(error)})", where=where, next_step=_BROKEN
        ) from None


def opened(stored: object, where: str) -> Image.Image:
    """An image that is not decoded yet, of encoded bytes, an opened image, or pixels; Pillow raises
    whatever it finds in bytes.

    Raises:
        DataError: Pixels that are no image.
    """
    if isinstance(stored, bytes):
        return Image.open(io.BytesIO(stored))
    return stored if isinstance(stored, Image.Image) else _from_pixels(stored, where)


def encoded_bytes(content: object) -> object:
    """What a cell holds: of a mapping what stands under `bytes`, everything else as it is."""
    return content.get("bytes") if isinstance(content, dict) else content


def content_digest(content: object) -> bytes:
    """SHA-256 of an image as it is stored: equal for the same bytes, or the same pixels."""
    stored = encoded_bytes(content)
    if isinstance(stored, Image.Image):
        stored = np.asarray(stored)
    if isinstance(stored, np.ndarray):
        stored = f"{stored.dtype} {stored.shape} ".encode() + stored.tobytes()
    if not isinstance(stored, bytes):
        stored = json.dumps(stored).encode()
    return hashlib.sha256(stored).digest()


def upright(image: Image.Image) -> Image.Image:
    """The image as a viewer shows it, in one of the modes `L` and `RGB`.

    Turned as its EXIF data say, with 8 bits a channel, and on white where it is transparent.

    Raises:
        ValueError: Its pixels have no known range, or Pillow cannot convert its mode.
    """
    turned = ImageOps.exif_transpose(image)
    if turned.mode in _DEEP_GREY:
        return _from_deep_grey(turned)
    if turned.mode == "F":
        return _from_floating_point(turned)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned).convert("RGB")
    return turned.convert("L" if turned.mode in ("1", "L") else "RGB")


def shrunk(image: Image.Image, shorter_side: int) -> Image.Image:
    """The image upright, its shorter side so many pixels long."""

    def size(width: int, height: int) -> tuple[int, int]:
        share = shorter_side / min(width, height)
        return max(shorter_side, round(share * width)), max(shorter_side, round(share * height))

    width, height = size(*image.size)
    image.draft(None, (2 * width, 2 * height))
    turned = upright(image)
    return turned.resize(size(*turned.size), Image.Resampling.LANCZOS)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        msg = f"grey values from {pixels.min()} to {pixels.max()}, and only 16 bits are known"
        raise ValueError(msg)
    return Image.fromarray(np.rint(pixels / 257).astype(np.uint8))


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
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(converted, dtype=np.uint8)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)


def _said(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text names an address in memory
        return "not an image of a known format"
    return " ".join(str(error).split()) or type(error).__name__
