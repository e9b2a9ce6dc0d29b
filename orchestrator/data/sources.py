"""Data sources: each reads images and labels from somewhere and gives the one internal form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from orchestrator.config.data import ArrivalsConfig, DataConfig, DigitsConfig, ParquetConfig
from orchestrator.data.arrivals import read_arrivals
from orchestrator.data.image_table import ImageTable, open_image_table, write_image_table
from orchestrator.data.parquet import parquet_files, read_parquet_images
from orchestrator.errors import DataError

_FORMAT = 2  # raise when a source decodes differently: old cache files are then left alone


def load_images(config: DataConfig) -> ImageTable:
    """Gives the configured data set, decoded once per machine and memory-mapped.

    Raises:
        DataError: Images, labels or files that cannot be used, each named.
        StorageUnavailableError: `data.cache_dir` cannot be written.
    """
    match config:
        case DigitsConfig():
            return _load_digits(config)
        case ParquetConfig():
            return _load_parquet(config)
        case ArrivalsConfig():
            return _load_arrivals(config)
        case _:
            assert_never(config)


def _load_digits(config: DigitsConfig) -> ImageTable:
    path = config.cache_dir / f"digits-{_FORMAT}-{config.test_fraction}-{config.split_seed}.arrow"
    if (table := open_image_table(path)) is not None:
        return table
    from sklearn.datasets import load_digits  # noqa: PLC0415 - a second of imports that a cached table does not need
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, np.newaxis]
    labels = digits.target.tolist()
    _, test = train_test_split(np.arange(len(labels)), test_size=config.test_fraction, stratify=labels, random_state=config.split_seed)
    is_test = np.zeros(len(labels), dtype=np.bool_)
    is_test[test] = True
    return write_image_table(path, "digits", images, labels, is_test)


def _load_parquet(config: ParquetConfig) -> ImageTable:
    files = {"train": parquet_files(config.train), "test": parquet_files(config.test)}
    source = hashlib.sha256(f"{_FORMAT} {config.image_size} {config.num_channels}".encode())
    for split, paths in files.items():
        for file in paths:
            source.update(f"{split} {file.name} ".encode() + _sha256(file))
    path = config.cache_dir / f"parquet-{source.hexdigest()[:32]}.arrow"
    if (table := open_image_table(path)) is not None:
        return table
    shape = (config.num_channels, config.image_size, config.image_size)
    parts: list[npt.NDArray[np.uint8]] = []
    labels: list[int | str] = []
    num_train = 0
    for split, paths in files.items():
        for file in paths:
            images, file_labels = read_parquet_images(file, shape)
            parts.append(images)
            labels += file_labels
        if not labels or len(labels) == num_train:
            raise DataError("holds no images", where=str(config.train if split == "train" else config.test), next_step="add images")
        if split == "train":
            num_train = len(labels)
    return write_image_table(path, config.train.parent.name, np.concatenate(parts), _uniform(labels), np.arange(len(labels)) >= num_train)


def _load_arrivals(config: ArrivalsConfig) -> ImageTable:
    read = {"files", "path", "deliveries", "held_out_only", "held_out_fraction", "image_size", "num_channels"}
    source = hashlib.sha256(f"{_FORMAT} {config.model_dump_json(include=read)}".encode())
    path = config.cache_dir / f"arrivals-{source.hexdigest()[:32]}.arrow"
    if (table := open_image_table(path)) is not None:
        return table
    images, labels, is_held_out = read_arrivals(config)
    return write_image_table(path, config.path.rstrip("/").rpartition("/")[2], images, _uniform(labels), is_held_out)


def _uniform(labels: Sequence[int | str]) -> list[int] | list[str]:
    """All integers, or all text."""
    integers = [label for label in labels if isinstance(label, int)]
    return integers if len(integers) == len(labels) else [str(label) for label in labels]


def _sha256(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(file), next_step="give readable Parquet files") from None
