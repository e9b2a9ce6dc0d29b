"""Read a growing folder of Parquet files, limited to the files that a retraining has recorded."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.config.addresses import nameable
from orchestrator.config.data import ArrivalsConfig
from orchestrator.data.growing_folder import Folder, ParquetContent, is_held_out, read_taken
from orchestrator.data.image_cache import FORMAT, cache_file, hashed
from orchestrator.data.image_table import ImageTable, open_image_table, write_image_table
from orchestrator.data.table_source import TableSource

_READ = {
    "files",
    "path",
    "deliveries",
    "held_out_only",
    "held_out_fraction",
    "image_size",
    "num_channels",
}
"""Fields of the configuration that determine the images and the shape to which they are decoded."""


class ArrivalsSource:
    """Source of the images that a configuration selects from a growing folder of Parquet files. The
    selected images are collected in one table. Each file is read once, both to check that the file
    is unchanged and to choose rows.
    """

    @staticmethod
    def open(config: ArrivalsConfig) -> TableSource:
        """Return the source of the images in the files that a retraining has recorded. If an
        earlier call has written the table of decoded images, the table is reused; otherwise, the
        files are decoded.

        Raises:
            DataError: A file has changed since it was recorded, or has unusable content.
            StorageUnavailableError: The folder cannot be read, or `cache_dir` cannot be written.
        """
        key = hashed(f"{FORMAT} {config.model_dump_json(include=_READ)}")
        path = cache_file(config, key)
        return TableSource(open_image_table(path) or _write(config, path))


def _write(config: ArrivalsConfig, path: Path) -> ImageTable:
    images, labels, is_test, places = _read(config)
    name = nameable(config.path).rstrip("/").rpartition("/")[2]
    return write_image_table(path, name, images, labels, is_test, places)


def _read(
    config: ArrivalsConfig,
) -> tuple[npt.NDArray[np.uint8], list[int | str], npt.NDArray[np.bool_], list[str]]:
    """Return the images of the files. Also return, for each image, the label, whether the image is
    held out, and the place (file and row).

    Raises:
        DataError: A file has changed since it was recorded, or has unusable content.
        StorageUnavailableError: The folder cannot be read.
    """
    folder, shape = Folder(config.path), config.shape
    last_delivery = dict(config.deliveries)
    parts: list[npt.NDArray[np.uint8]] = [np.empty((0, *shape), dtype=np.uint8)]
    labels: list[int | str] = []
    held_out: list[bool] = []
    places: list[str] = []
    for file in config.files:
        content = read_taken(folder, file.name, file.sha256)
        taken = {label for label, last in last_delivery.items() if file.delivery <= last}
        rows = [
            row for row in range(len(content.labels)) if _is_wanted(content, row, taken, config)
        ]
        parts.append(content.decode(rows, shape, config.max_image_pixels))
        labels += [content.labels[row] for row in rows]
        held_out += [is_held_out(content.digests[row], config.held_out_fraction) for row in rows]
        places += [f"{content.where} row {row}" for row in rows]
    return np.concatenate(parts), labels, np.asarray(held_out, dtype=np.bool_), places


def _is_wanted(content: ParquetContent, row: int, taken: Set[str], config: ArrivalsConfig) -> bool:
    label = str(content.labels[row])
    if label not in taken:
        return False
    return label not in config.held_out_only or is_held_out(
        content.digests[row], config.held_out_fraction
    )


SOURCE = ArrivalsSource
