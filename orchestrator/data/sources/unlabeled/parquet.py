"""Read Parquet files of unlabelled images; errors name every unusable row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from orchestrator.data.parquet_columns import cell_value, check_columns
from orchestrator.data.parquet_files import find_parquet_files
from orchestrator.data.samples import Sample
from orchestrator.data.sources.parquet import (
    BATCH_ROWS,
    data_set_name,
    file_name,
    num_rows,
    opened,
)
from orchestrator.masking import shown

_COLUMNS = ("image",)


class UnlabeledParquet:
    """Source of Parquet files with the column `image`; other columns are ignored."""

    def __init__(self, path: str, field: str = "data.unlabeled.path") -> None:
        """Find the files.

        Args:
            path: A file, a folder of files, or a pattern; a local path or an address.
            field: The setting to correct if there are no files, for messages.

        Raises:
            DataError: No file matches.
            StorageUnavailableError: Object storage does not answer.
        """
        self.name = data_set_name(path)
        self.place = shown(path)
        self._files = find_parquet_files(path, field)

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: a digest of the names and stamps of its files. The stamp
        of a file changes when the content of the file changes.
        """
        return hashlib.sha256(
            repr([(file.name, file.stamp) for file in self._files]).encode()
        ).hexdigest()

    @property
    def num_images(self) -> int:
        """Return the number of rows of all files."""
        return num_rows(self._files)

    def samples(self) -> Iterator[Sample]:
        """Yield the images file by file and row by row, with some hundred rows in memory at a
        time.
        """
        for file in self._files:
            row = 0
            with opened(file) as parquet:
                check_columns(parquet, file.where, _COLUMNS)
                for batch in parquet.iter_batches(BATCH_ROWS, columns=[*_COLUMNS]):
                    for cell in batch.column("image"):
                        where, stamp = f"{file.where} row {row}", f"{file.stamp} {row}"
                        yield Sample(where, file_name(cell), stamp, partial(_load, cell, where))
                        row += 1


def _load(cell: pa.Scalar, where: str) -> tuple[str, object]:
    return "", cell_value(cell, where)
