"""Data sources: each reads images and labels from somewhere and gives the one internal form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from orchestrator.config.data import (
    ArrivalsConfig,
    DataConfig,
    DigitsConfig,
    ImageFolderConfig,
    ParquetConfig,
    TorchvisionDataConfig,
)
from orchestrator.data.arrivals import read_arrivals
from orchestrator.data.decoding import Shape, decode
from orchestrator.data.image_folder import FolderSource
from orchestrator.data.image_table import (
    ImageTable,
    open_image_table,
    room_on_disk,
    write_image_table,
)
from orchestrator.data.parquet import ParquetSource
from orchestrator.data.samples import (
    HALVES,
    Half,
    ImageSource,
    Label,
    Progress,
    Sample,
    ignore_progress,
    in_threads,
)
from orchestrator.data.splitting import SplitByContent
from orchestrator.data.table_source import TableSource
from orchestrator.errors import DataError

_FORMAT = 3  # raise when a source decodes differently: old cache files are then left alone

EncodedConfig: TypeAlias = ParquetConfig | ImageFolderConfig | TorchvisionDataConfig


def load_images(config: DataConfig, progress: Progress = ignore_progress) -> ImageTable:
    """Gives the configured data set, decoded once per machine and memory-mapped.

    Args:
        config: Where the images come from, and to what they are converted.
        progress: Told how far decoding is.

    Raises:
        DataError: Images, labels or files that cannot be used, each named.
        StorageUnavailableError: `data.cache_dir` cannot be written, or what should be downloaded
            cannot.
    """
    match config:
        case DigitsConfig():
            return _load_digits(config)
        case ArrivalsConfig():
            return _load_arrivals(config)
        case _:
            return _load_encoded(open_source(config), config, progress)


def open_source(config: DataConfig) -> ImageSource:
    """The images of a configuration before they are decoded.

    Raises:
        DataError: There is nothing that can be read.
    """
    match config:
        case DigitsConfig() | ArrivalsConfig():
            return TableSource(load_images(config))
        case ParquetConfig():
            return _split(ParquetSource(config.train, config.test), config, config.test is not None)
        case ImageFolderConfig():
            return _split(FolderSource(config.train, config.test), config, config.test is not None)
        case TorchvisionDataConfig():
            from orchestrator.data.torchvision_sets import (  # noqa: PLC0415
                TorchvisionSource,
            )

            source = TorchvisionSource(config)
            return _split(source, config, source.has_test_half)
        case _:
            assert_never(config)


def shape_of(config: EncodedConfig) -> Shape:
    """(channels, height, width) to which every image is converted."""
    return (config.num_channels, config.image_size, config.image_size)


def _split(source: ImageSource, config: EncodedConfig, has_test_half: bool) -> ImageSource:
    return source if has_test_half else SplitByContent(source, config.test_fraction)


def _load_digits(config: DigitsConfig) -> ImageTable:
    path = config.cache_dir / f"digits-{_FORMAT}-{config.test_fraction}-{config.split_seed}.arrow"
    if (table := open_image_table(path)) is not None:
        return table
    from sklearn.datasets import (  # noqa: PLC0415
        load_digits,
    )
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, np.newaxis]
    labels = digits.target.tolist()
    try:
        _, test = train_test_split(
            np.arange(len(labels)),
            test_size=config.test_fraction,
            stratify=labels,
            random_state=config.split_seed,
        )
    except ValueError as error:
        what = (
            f"{config.test_fraction} leaves classes of the digits without images on one side"
            f" ({error})"
        )
        raise DataError(what, where="data.test_fraction", next_step="the default is 0.3") from None
    is_test = np.zeros(len(labels), dtype=np.bool_)
    is_test[test] = True
    return write_image_table(path, "digits", images, labels, is_test)


def _load_encoded(source: ImageSource, config: EncodedConfig, progress: Progress) -> ImageTable:
    shape = shape_of(config)
    key = hashlib.sha256(f"{_FORMAT} {shape} {source.stamp}".encode()).hexdigest()
    path = config.cache_dir / f"{config.kind}-{key[:32]}.arrow"
    if (table := open_image_table(path)) is not None:
        return table
    num_train, num_test = (_num_images(source, half) for half in HALVES)
    total = num_train + num_test
    labels: list[Label] = []
    images = room_on_disk(config.cache_dir, (total, *shape))
    samples = (sample for half in HALVES for sample in source.samples(half))
    for row, (label, pixels) in enumerate(in_threads(partial(_decoded, shape=shape), samples)):
        images[row] = pixels
        labels.append(label)
        progress(row + 1, total)
    return write_image_table(
        path, source.name, images, _uniform(labels), np.arange(total) >= num_train
    )


def _num_images(source: ImageSource, half: Half) -> int:
    """How many images a half has, after checking that it has some, and so has every class that
    there is a folder of.
    """
    for folder in source.empty_classes(half):
        raise DataError(
            "a class folder without images",
            where=folder,
            next_step="add images or remove the folder",
        )
    num_images = source.num_images(half)
    if not num_images:
        raise DataError("holds no images", where=source.place(half), next_step="add images")
    return num_images


def _decoded(sample: Sample, shape: Shape) -> tuple[Label, npt.NDArray[np.uint8]]:
    try:
        label, content = sample.load()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror or error})",
            where=sample.where,
            next_step="make it readable or remove it",
        ) from None
    return label, decode(content, shape, sample.where).pixels


def _load_arrivals(config: ArrivalsConfig) -> ImageTable:
    read = {
        "files",
        "path",
        "deliveries",
        "held_out_only",
        "held_out_fraction",
        "image_size",
        "num_channels",
    }
    source = hashlib.sha256(f"{_FORMAT} {config.model_dump_json(include=read)}".encode())
    path = config.cache_dir / f"arrivals-{source.hexdigest()[:32]}.arrow"
    if (table := open_image_table(path)) is not None:
        return table
    images, labels, is_held_out = read_arrivals(config)
    return write_image_table(
        path, config.path.rstrip("/").rpartition("/")[2], images, _uniform(labels), is_held_out
    )


def _uniform(labels: Sequence[int | str]) -> list[int] | list[str]:
    """All integers, or all text."""
    integers = [label for label in labels if isinstance(label, int)]
    return integers if len(integers) == len(labels) else [str(label) for label in labels]
