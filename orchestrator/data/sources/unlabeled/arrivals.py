"""Read a growing folder of Parquet files without labels, limited to the files that a retraining has
recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property, partial

from orchestrator.config.addresses import nameable
from orchestrator.config.unlabeled import UnlabeledArrivalsConfig
from orchestrator.data.growing_folder import Folder, ParquetContent, is_held_out, read_taken
from orchestrator.data.samples import Sample
from orchestrator.masking import shown


class UnlabeledArrivals:
    """Source of the images that are not held out, from the recorded files of a growing folder. One
    file is in memory at a time.
    """

    def __init__(self, config: UnlabeledArrivalsConfig) -> None:
        """Connect to the folder without reading its files.

        Args:
            config: The folder, its files, and the share of images that is held out.

        Raises:
            StorageUnavailableError: Object storage does not answer.
        """
        self.name = nameable(config.path).rstrip("/").rpartition("/")[2]
        self.place = shown(config.path)
        self._config = config
        self._folder = Folder(config.path)

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: a digest of the content of all files, and of the share of
        images that is held out.
        """
        files = [file.sha256 for file in self._config.files]
        return hashlib.sha256(repr((files, self._config.held_out_fraction)).encode()).hexdigest()

    @property
    def num_images(self) -> int:
        """Return the number of images that are not held out."""
        return self._num_images

    def samples(self) -> Iterator[Sample]:
        """Yield the images file by file and row by row.

        Raises:
            DataError: A file has changed since it was recorded, or cannot be read.
        """
        for content in self._contents():
            for row in self._rows_of(content):
                stamp = content.digests[row].hex()
                yield Sample(f"{content.where} row {row}", "", stamp, partial(_load, content, row))

    @cached_property
    def _num_images(self) -> int:
        return sum(len(self._rows_of(content)) for content in self._contents())

    def _rows_of(self, content: ParquetContent) -> list[int]:
        fraction = self._config.held_out_fraction
        return [
            row for row, digest in enumerate(content.digests) if not is_held_out(digest, fraction)
        ]

    def _contents(self) -> Iterator[ParquetContent]:
        for file in self._config.files:
            yield read_taken(self._folder, file.name, file.sha256, has_labels=False)


def _load(content: ParquetContent, row: int) -> tuple[str, object]:
    return "", content.cell(row)
