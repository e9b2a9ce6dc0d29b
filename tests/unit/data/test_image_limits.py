"""Untrusted images: only listed formats, at most the allowed pixels, limited memory."""

import io
import shutil
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.config.data import ImageFolderConfig, ParquetConfig, TorchvisionDataConfig
from orchestrator.data.decoding import FORMATS, decode, opened
from orchestrator.data.growing_folder import Folder, read_content
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.loading import load_images
from orchestrator.data.parquet_columns import cell_value
from orchestrator.errors import DataError

SHAPE = (3, 8, 8)
OTHER_FORMATS = ("EPS", "PPM", "PCX", "ICNS", "JPEG2000", "TGA", "SGI", "PDF", "MSP")


def encoded(image_format: str, size: tuple[int, int] = (16, 16)) -> bytes:
    stream = io.BytesIO()
    Image.new("1" if image_format == "MSP" else "RGB", size).save(stream, image_format)
    return stream.getvalue()


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_six_named_formats_are_decoded(image_format: str) -> None:
    assert decode(encoded(image_format), SHAPE, "here").pixels.shape == SHAPE


@pytest.mark.parametrize("image_format", OTHER_FORMATS)
def test_other_formats_are_not_decoded(image_format: str) -> None:
    with pytest.raises(DataError, match=r"known format.*\(known formats: PNG, JPEG, WEBP, BMP"):
        decode(encoded(image_format), SHAPE, "here")


def test_no_program_is_started_for_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow starts `gs` for EPS; the test's `gs` would leave a file."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    (tmp_path / "image.eps").write_bytes(encoded("EPS"))
    with pytest.raises(DataError, match="not an image of a known format"):
        decode(encoded("EPS"), SHAPE, "here")
    with (
        Image.open(tmp_path / "image.eps") as image,
        pytest.raises(DataError, match=r"not an image of a known format \(EPS\)"),
    ):
        decode(image, SHAPE, "as an extension opens it")
    assert not (tmp_path / "started").exists()


def test_an_image_with_too_many_pixels_is_rejected_before_decoding() -> None:
    content = encoded("PNG", (100, 41))
    assert decode(content, SHAPE, "here", ImageLimits(4100)).size == (100, 41)
    torn = content[:60]  # decoding would report a truncated file
    with pytest.raises(DataError) as error:
        decode(torn, SHAPE, "here", ImageLimits(4099))
    assert str(error.value) == (
        "here: has 100 x 41 = 4,100 pixels, more than the 4,099 of data.max_image_pixels;"
        " shrink or remove the image, or raise the limit if the image can be trusted"
    )


def test_the_default_limit_is_far_below_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    with pytest.raises(DataError, match=r"more than the 33,554,432 of data\.max_image_pixels"):
        decode(encoded("PNG", (8192, 4097)), SHAPE, "here")
    assert Image.MAX_IMAGE_PIXELS > 2 * 2**25


def test_arrays_and_opened_images_have_the_same_limit() -> None:
    limits = ImageLimits(4099)
    for content in (Image.new("L", (100, 41)), [[0] * 100] * 41):
        with pytest.raises(DataError, match="4,100 pixels"):
            opened(content, "here", limits)


def test_decoding_waits_until_memory_is_available() -> None:
    limits = ImageLimits(2**25)
    entered = threading.Event()

    def enter() -> None:
        with limits.room_for(4096, 4096):
            entered.set()

    other = threading.Thread(target=enter)
    with limits.room_for(8192, 4096):
        other.start()
        assert not entered.wait(0.1)
    assert entered.wait(60)
    other.join()


def parquet(file: Path, cells: pa.Array, label: str = "a") -> Path:
    pq.write_table(pa.table({"image": cells, "label": [label] * len(cells)}), file)
    return file


def test_the_configured_limit_applies_to_every_source(tmp_path: Path) -> None:
    """1,100 pixels exceed the limit of 1,024."""
    content, another = encoded("PNG", (100, 11)), encoded("BMP", (100, 11))
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(content)
    (folder / "2.bmp").write_bytes(another)
    file = parquet(tmp_path / "x.parquet", pa.array([content, another]))
    common = {"image_size": 8, "cache_dir": tmp_path / "cache", "max_image_pixels": 1024}
    for config in (
        ImageFolderConfig.model_validate({"train": folder.parent, **common}),
        ParquetConfig.model_validate({"train": str(file), **common}),
    ):
        with pytest.raises(DataError, match=r"1,100 pixels, more than the 1,024"):
            load_images(config)
        whole = config.model_copy(update={"max_image_pixels": 1100, "test_fraction": 0.5})
        assert len(load_images(whole).images) == 2
    with pytest.raises(DataError, match=r"x\.parquet row 1: .*1,100 pixels"):
        read_content(Folder(str(tmp_path)), "x.parquet").decode([1], SHAPE, 1024)


def test_images_that_torchvision_opens_itself_have_the_same_formats_and_limit(
    tmp_path: Path,
) -> None:
    """OxfordIIITPet opens its files itself and has no `loader`."""
    config = TorchvisionDataConfig(
        name="OxfordIIITPet", root=tmp_path, image_size=8, cache_dir=tmp_path / "cache"
    )
    base = tmp_path / "oxford-iiit-pet"
    (base / "images").mkdir(parents=True)
    (base / "annotations").mkdir()
    for half in ("trainval", "test"):
        (base / "annotations" / f"{half}.txt").write_text("Abyssinian_1 1 1 1\nBeagle_1 2 1 1\n")

    def put(content: bytes) -> None:
        for name in ("Abyssinian_1", "Beagle_1"):
            (base / "images" / f"{name}.jpg").write_bytes(content)

    put(encoded("PNG", (100, 11)))
    assert load_images(config).images.shape == (4, 3, 8, 8)
    with pytest.raises(DataError, match=r"1,100 pixels, more than the 1,024"):
        load_images(
            config.model_copy(update={"max_image_pixels": 1024, "cache_dir": tmp_path / "another"})
        )
    put(encoded("EPS"))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match="cannot be read"):
        load_images(config)


def test_a_list_with_too_many_values_for_memory_is_rejected() -> None:
    """A column of zeros takes a few kilobytes in the file, and forty bytes per value as a list."""
    rows = pa.FixedSizeListArray.from_arrays(pa.nulls(2**22 + 2048, pa.uint8()), 2048)
    image = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    for cell in (image[0], pa.StructArray.from_arrays([image], names=["bytes"])[0]):
        with pytest.raises(DataError, match=r"is a list of 4,196,352 values, more than 4,194,304"):
            cell_value(cell, "here")
    assert cell_value(pa.array([[[1, 2], [3, 4]]])[0], "here") == [[1, 2], [3, 4]]
