"""Load any image source into an image table. Images are decoded only once per machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.config.data import DataConfig
from orchestrator.config.extensions import extension_identity
from orchestrator.config.image_source import Half
from orchestrator.data.decoding import Shape, decode
from orchestrator.data.image_cache import FORMAT, cache_file, hashed
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.image_table import (
    ImageTable,
    open_image_table,
    room_on_disk,
    write_image_table,
)
from orchestrator.data.samples import (
    HALVES,
    ImageSource,
    Label,
    Progress,
    Sample,
    ignore_progress,
    in_threads,
)
from orchestrator.data.sources.source import open_source
from orchestrator.data.table_source import TableSource
from orchestrator.errors import DataError


def load_images(config: DataConfig, progress: Progress = ignore_progress) -> ImageTable:
    """Return the configured data set as a memory-mapped table. Images are decoded only once per
    machine.

    Args:
        config: Configuration of the source, and the shape to which images are converted.
        progress: Receives the progress of decoding.

    Raises:
        ConfigError: The extension that provides the images cannot be loaded.
        DataError: Images, labels or files are unusable; the error names each of them.
        StorageUnavailableError: `data.cache_dir` cannot be written, or a download fails.
    """
    source = open_source(config)
    if isinstance(source, TableSource):
        return source.table
    path = cache_file(config, _key(source, config))
    return open_image_table(path) or _write(source, config, path, progress)


def _key(source: ImageSource, config: DataConfig) -> str:
    """Return a key that covers everything that determines the decoded images, including the version
    of an extension.
    """
    identity = extension_identity(config)
    by_whom = f" {json.dumps(identity, sort_keys=True)}" if identity else ""
    return hashed(f"{FORMAT} {config.shape} {source.stamp}{by_whom}")


def _write(source: ImageSource, config: DataConfig, path: Path, progress: Progress) -> ImageTable:
    num_train, num_test = (_num_images(source, half) for half in HALVES)
    samples = (sample for half in HALVES for sample in source.samples(half))
    total = num_train + num_test
    images, labels, places = decode_all(samples, total, config, progress)
    is_test = np.arange(total) >= num_train
    return write_image_table(path, source.name, images, labels, is_test, places)


def decode_all(
    samples: Iterable[Sample], num: int, config: DataConfig, progress: Progress
) -> tuple[npt.NDArray[np.uint8], list[Label], list[str]]:
    """Return the images, the labels and the places (a path, or a file and a row) of all samples.
    The images have the shape (images, channels, height, width).

    The images are held in an unnamed temporary file, not in memory.

    Raises:
        DataError: An image or a label is unusable.
        StorageUnavailableError: `data.cache_dir` cannot be written.
    """
    labels: list[Label] = []
    places: list[str] = []
    images = room_on_disk(config.cache_dir, (num, *config.shape))
    work = partial(decode_sample, shape=config.shape, limits=ImageLimits(config.max_image_pixels))
    for row, (label, pixels, place) in enumerate(in_threads(work, samples)):
        images[row] = pixels
        labels.append(label)
        places.append(place)
        progress(row + 1, num)
    return images, labels, places


def _num_images(source: ImageSource, half: Half) -> int:
    """Return the number of training or test images. Reject a source without such images, or with an
    empty class folder.
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


def decode_sample(
    sample: Sample, shape: Shape, limits: ImageLimits
) -> tuple[Label, npt.NDArray[np.uint8], str]:
    """Return the label, the image (channels, height, width) and the place (a path, or a file and a
    row) of a sample.

    Raises:
        DataError: The sample cannot be read or decoded, or is larger than the limits allow.
    """
    try:
        label, content = sample.load()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror or error})",
            where=sample.where,
            next_step="make it readable or remove it",
        ) from None
    return label, decode(content, shape, sample.where, limits).pixels, sample.where
