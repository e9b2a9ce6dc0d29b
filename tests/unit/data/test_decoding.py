"""Images of every mode, depth and orientation are decoded as a viewer shows them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from orchestrator.data.decoding import DecodedImage, content_digest, decode
from orchestrator.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
GREY, COLOUR = (1, 8, 8), (3, 8, 8)


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def decoded(
    image: Image.Image,
    shape: tuple[int, int, int] = GREY,
    image_format: str = "PNG",
    **options: Any,  # noqa: ANN401
) -> DecodedImage:
    return decode(encoded(image, image_format, **options), shape, "here")


def said(content: object) -> str:
    with pytest.raises(DataError) as error:
        decode(content, GREY, "here")
    return str(error.value)


def test_grey_images_stay_grey_and_are_repeated_for_colour() -> None:
    image = decoded(Image.fromarray(RAMP))
    assert np.array_equal(image.pixels[0], RAMP)
    assert (image.mode, image.size) == ("L", (8, 8))
    assert np.array_equal(decoded(Image.fromarray(RAMP), COLOUR).pixels, np.stack([RAMP] * 3))


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight_not_clipped(image_format: str) -> None:
    deep = (np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040) + 7
    image = decoded(Image.fromarray(deep), image_format=image_format)
    assert np.array_equal(image.pixels[0], np.rint(deep / 257).astype(np.uint8))
    assert image.pixels.max() == 255
    assert image.mode.startswith("I;16")


def test_sixteen_bits_in_another_byte_order_are_the_same() -> None:
    deep = Image.frombytes(
        "I;16B", (8, 8), (np.arange(64, dtype=np.uint16) * 1000).astype(">u2").tobytes()
    )
    assert decode(deep, GREY, "here").pixels.flatten().tolist() == [
        round(value * 1000 / 257) for value in range(64)
    ]


def test_floating_point_pixels_are_shares_of_the_full_range() -> None:
    image = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    assert (
        decoded(image, image_format="TIFF").pixels.flatten().tolist()
        == np.rint(np.linspace(0, 255, 64)).tolist()
    )


def test_pixels_of_unknown_range_are_rejected_with_their_values() -> None:
    assert "grey values from -1 to 70000" in said(
        encoded(Image.fromarray(np.array([[-1, 70000]] * 2, np.int32)), "TIFF")
    )
    assert "has pixels from 0.0 to 3.0" in said(
        encoded(Image.fromarray(np.array([[0, 3]] * 2, np.float32)), "TIFF")
    )


def test_transparent_pixels_become_white() -> None:
    """The colour of transparent pixels is whatever a program left there: black here."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4, 3] = 255  # the left half is black, the right half transparent
    image = decoded(Image.fromarray(pixels), COLOUR)
    assert (image.pixels[:, :, :4] == 0).all()
    assert (image.pixels[:, :, 4:] == 255).all()
    assert image.mode == "RGBA"
    half = decoded(Image.merge("LA", (Image.new("L", (8, 8), 0), Image.new("L", (8, 8), 128))))
    assert half.pixels.min() == half.pixels.max() == 127


def test_palettes_are_looked_up_with_and_without_transparency() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert decoded(palette, COLOUR).pixels[:, 0, 0].tolist() == [10, 200, 30]
    assert decoded(palette, COLOUR).mode == "P"
    assert (decoded(palette, COLOUR, transparency=1).pixels == 255).all()
    assert decoded(palette, COLOUR, "GIF").pixels[:, 3, 3].tolist() == [10, 200, 30]


def test_one_bit_images_are_black_and_white() -> None:
    assert set(decoded(Image.fromarray(RAMP > 100)).pixels.flatten().tolist()) == {0, 255}


def test_cmyk_is_converted_to_colours() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red ink
    image = decoded(cmyk, COLOUR, "JPEG", quality=95)
    assert image.mode == "CMYK"
    assert np.abs(image.pixels[:, 4, 4].astype(int) - [255, 0, 0]).max() <= 4


def views() -> dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]]:
    """Return the pixels that a camera stores so that a viewer that applies the EXIF orientation
    shows the given image.
    """
    return {
        1: lambda shown: shown,
        2: lambda shown: shown[:, ::-1],
        3: lambda shown: shown[::-1, ::-1],
        4: lambda shown: shown[::-1],
        5: lambda shown: shown.T,
        6: np.rot90,
        7: lambda shown: shown[::-1, ::-1].T,
        8: lambda shown: np.rot90(shown, -1),
    }


@pytest.mark.parametrize("orientation", views())
def test_images_are_rotated_by_their_exif_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = np.concatenate([RAMP, RAMP[:4]])  # 8 wide, 12 high
    stored = Image.fromarray(np.ascontiguousarray(views()[orientation](shown)))
    image = decoded(stored, (1, 12, 8), exif=exif)
    assert np.array_equal(image.pixels[0], shown)
    assert image.size == (8, 12)


def test_large_jpegs_are_decoded_at_reduced_size_and_look_the_same() -> None:
    random = np.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).resize(
        (1024, 768), Image.Resampling.BICUBIC
    )
    image = decoded(smooth, (3, 32, 32), "JPEG", quality=95)
    plain = np.asarray(smooth.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert image.size == (1024, 768)
    assert np.abs(image.pixels.astype(int) - plain.astype(int)).mean() < 3


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "here: cannot be decoded (not an image of a known format)"),
        (b"plain text", "here: cannot be decoded (not an image of a known format)"),
        (encoded(Image.fromarray(NOISE))[:600], "here: cannot be decoded ("),
        (
            encoded(Image.fromarray(NOISE), "JPEG")[:-200],
            "here: cannot be decoded (image file is truncated",
        ),
        (encoded(Image.fromarray(RAMP))[:20] + b"\0" * 100, "here: cannot be decoded ("),
        (None, "here: has no image"),
        ({"bytes": None}, "here: has no image"),
    ],
    ids=["nothing", "text", "cut off", "JPEG cut off", "zeros", "null", "null bytes"],
)
def test_undecodable_bytes_are_reported(content: object, what: str) -> None:
    assert said(content).startswith(what)


@pytest.mark.parametrize("position", range(0, 160, 3))
def test_corrupt_bytes_raise_nothing_but_a_data_error(position: int) -> None:
    """A decoder may raise anything on corrupt bytes. The test corrupts every third byte of a
    palette PNG in turn.
    """
    palette = Image.fromarray(RAMP).convert("P")
    content = bytearray(encoded(palette))
    content[position] ^= 0xFF
    try:
        assert decode(bytes(content), GREY, "here").pixels.shape == GREY
    except DataError as error:
        assert str(error).startswith("here: cannot be decoded (")  # noqa: PT017 - both ends are right


def test_the_digest_depends_on_the_stored_content() -> None:
    assert (
        content_digest(b"x")
        == content_digest({"bytes": b"x", "path": "a.png"})
        != content_digest(b"y")
    )
    assert content_digest(RAMP) == content_digest(RAMP.copy()) != content_digest(RAMP.T)
    assert content_digest(RAMP) == content_digest(Image.fromarray(RAMP))
    assert content_digest([[1, 2]]) != content_digest([[2, 1]])
