"""Contract of every image source."""

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.config import Experiment
from orchestrator.config.data import (
    ArrivalsConfig,
    ArrivedFile,
    DataConfig,
    DigitsConfig,
    ImageFolderConfig,
    ParquetConfig,
    TorchvisionDataConfig,
)
from orchestrator.data import load_images
from orchestrator.data.decoding import decode
from orchestrator.data.samples import HALVES, ImageSource
from orchestrator.data.sources.source import open_source
from tests.extensions.distribution import install_npz

CLASSES = ("ant", "bee", "cat")
NUM_IMAGES = {"train": 6, "test": 2}
Make = Callable[[Path], DataConfig]


def picture(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (10, 12, 3), np.uint8))


def fill(folder: Path, halves: tuple[str, ...] = HALVES) -> None:
    """Write one folder per class; no two images are equal."""
    number = 0
    for half in halves:
        for label in CLASSES:
            for index in range(NUM_IMAGES[half]):
                number += 1
                file = folder / half / label / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                picture(number).save(file)


def image_folder(tmp_path: Path) -> DataConfig:
    fill(tmp_path / "animals")
    train, test = tmp_path / "animals" / "train", tmp_path / "animals" / "test"
    return ImageFolderConfig(train=train, test=test, image_size=8, cache_dir=tmp_path / "cache")


def image_folder_without_test(tmp_path: Path) -> DataConfig:
    fill(tmp_path / "animals", ("train",))
    return ImageFolderConfig(
        train=tmp_path / "animals" / "train",
        test_fraction=0.34,
        image_size=8,
        cache_dir=tmp_path / "cache",
    )


def parquet(tmp_path: Path) -> DataConfig:
    fill(tmp_path / "animals")
    for half in HALVES:
        files = sorted((tmp_path / "animals" / half).rglob("*.png"))
        images, labels = [file.read_bytes() for file in files], [file.parent.name for file in files]
        pq.write_table(
            pa.table({"image": images, "label": labels}),
            tmp_path / "animals" / f"{half}.parquet",
            row_group_size=4,
        )
    train, test = (str(tmp_path / "animals" / f"{half}.parquet") for half in HALVES)
    return ParquetConfig(train=train, test=test, image_size=8, cache_dir=tmp_path / "cache")


def parquet_without_test(tmp_path: Path) -> DataConfig:
    both = parquet(tmp_path)
    assert isinstance(both, ParquetConfig)
    return both.model_copy(update={"test": None, "test_fraction": 0.34})


def torchvision_split(tmp_path: Path) -> DataConfig:
    """Return a data set of files with `split=`: two of its splits are used, the third is not."""
    fill(tmp_path / "country211", ("train", "test"))
    (tmp_path / "country211" / "valid" / "ant").mkdir(parents=True)
    return TorchvisionDataConfig(
        name="Country211", root=tmp_path, image_size=8, cache_dir=tmp_path / "cache"
    )


def torchvision_train(tmp_path: Path) -> DataConfig:
    """Return a data set of arrays with `train=`, in its own file format."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for half, name in (("train", "train"), ("test", "t10k")):
        num = 3 * NUM_IMAGES[half]
        pixels = np.random.default_rng(num).integers(0, 256, (num, 28, 28), np.uint8)
        labels = np.arange(num, dtype=np.uint8) % 3
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            header = struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(header + array.tobytes())
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(
                gzip.compress(header + array.tobytes())
            )
    return TorchvisionDataConfig(
        name="MNIST", root=tmp_path, image_size=8, num_channels=1, cache_dir=tmp_path / "cache"
    )


def torchvision_unsplit(tmp_path: Path) -> DataConfig:
    """Return a data set that torchvision does not split; its images are random ones, made by
    torchvision.
    """
    options: dict[str, bool | int | str] = {"size": 30, "num_classes": 2}
    return TorchvisionDataConfig(
        name="FakeData",
        root=tmp_path / "none",
        options=options,
        image_size=8,
        cache_dir=tmp_path / "cache",
    )


def digits(tmp_path: Path) -> DataConfig:
    return DigitsConfig(cache_dir=tmp_path / "cache")


def arrivals(tmp_path: Path) -> DataConfig:
    """Return two deliveries. The split depends on the content, so no two images are equal."""
    folder = tmp_path / "arrived"
    folder.mkdir()
    files = []
    for delivery in (1, 2):
        file = folder / f"{delivery}.parquet"
        start = 100 * delivery
        pixels = [np.asarray(picture(start + row)).tolist() for row in range(24)]
        pq.write_table(pa.table({"image": pixels, "label": [*CLASSES] * 8}), file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        files.append(ArrivedFile(name=file.name, sha256=digest, delivery=delivery))
    return ArrivalsConfig(
        path=str(folder),
        files=tuple(files),
        deliveries=(("ant", 2), ("bee", 2), ("cat", 1)),
        held_out_fraction=0.5,
        image_size=8,
        cache_dir=tmp_path / "cache",
    )


def extension(tmp_path: Path) -> DataConfig:
    """Return a source of another distribution."""
    install_npz(tmp_path / "site")
    for half in HALVES:
        labels = [label for label in CLASSES for _ in range(NUM_IMAGES[half])]
        start = len(half)  # other images in the other half
        images = np.stack([np.asarray(picture(100 * start + row)) for row in range(len(labels))])
        np.savez(tmp_path / f"{half}.npz", images=images, labels=labels)
    train, test = (str(tmp_path / f"{half}.npz") for half in HALVES)
    settings = {"train": train, "test": test, "image_size": 8, "cache_dir": tmp_path / "cache"}
    return Experiment.model_validate({"data": {"kind": "npz", **settings}}).data


def extension_without_test(tmp_path: Path) -> DataConfig:
    return extension(tmp_path).model_copy(update={"test": None, "test_fraction": 0.34})


MAKERS: list[Make] = [
    image_folder,
    image_folder_without_test,
    parquet,
    parquet_without_test,
    torchvision_split,
    torchvision_train,
    torchvision_unsplit,
    digits,
    arrivals,
    extension,
    extension_without_test,
]


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def config(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DataConfig:
    monkeypatch.syspath_prepend(tmp_path / "site")  # the extension is installed there
    made: DataConfig = request.param(tmp_path)
    return made


@pytest.fixture
def source(config: DataConfig) -> ImageSource:
    return open_source(config)


def test_a_source_gives_as_many_images_as_it_announces(source: ImageSource) -> None:
    for half in HALVES:
        assert len(list(source.samples(half))) == source.num_images(half) > 0


def test_a_source_gives_the_same_images_in_the_same_order_every_time(
    source: ImageSource, config: DataConfig
) -> None:
    for half in HALVES:
        first, again, anew = (
            list(given.samples(half)) for given in (source, source, open_source(config))
        )
        names = [(sample.where, sample.stamp) for sample in first]
        assert (
            names
            == [(sample.where, sample.stamp) for sample in again]
            == [(sample.where, sample.stamp) for sample in anew]
        )
        assert len({stamp for _, stamp in names}) == len(names)


def test_every_image_can_be_loaded_twice_and_decoded(source: ImageSource) -> None:
    for half in HALVES:
        for sample in source.samples(half):
            (label, content), (label_again, content_again) = sample.load(), sample.load()
            pixels = decode(content, (3, 8, 8), sample.where).pixels
            assert label == label_again
            assert np.array_equal(pixels, decode(content_again, (3, 8, 8), sample.where).pixels)


def test_the_stamp_of_a_source_is_reproducible(source: ImageSource, config: DataConfig) -> None:
    assert source.stamp == open_source(config).stamp


def test_every_source_has_a_test_half(source: ImageSource) -> None:
    assert source.has_test_half


def test_the_table_has_the_configured_shape_and_file_name(
    config: DataConfig,
) -> None:
    table = load_images(config)
    assert table.shape == config.shape
    assert table.path.parent == config.cache_dir
    assert table.path.name.startswith(f"{config.kind}-")


def test_both_halves_have_the_same_classes(source: ImageSource) -> None:
    train, test = ({str(sample.load()[0]) for sample in source.samples(half)} for half in HALVES)
    assert train == test


def test_the_table_has_the_sources_images_in_order(source: ImageSource, config: DataConfig) -> None:
    table = load_images(config)
    assert table.name == source.name
    for half in HALVES:
        rows = np.flatnonzero(table.is_test == (half == "test"))
        samples = list(source.samples(half))
        assert len(rows) == len(samples)
        for row, sample in zip(rows, samples, strict=True):
            label, content = sample.load()
            assert table.labels[row] == str(label)
            assert np.array_equal(table.images[row], decode(content, table.shape, "").pixels)


def test_the_table_is_decoded_once(config: DataConfig) -> None:
    first = load_images(config)
    inode = first.path.stat().st_ino
    assert load_images(config).path.stat().st_ino == inode
    assert [file.name for file in first.path.parent.iterdir()] == [first.path.name], (
        "nothing is left beside it"
    )
