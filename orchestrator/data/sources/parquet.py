"""Read Parquet files of images and labels; errors name every unusable row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.config.addresses import nameable
from orchestrator.config.data import ParquetConfig
from orchestrator.config.image_source import Half
from orchestrator.data.parquet_columns import cell_value, check_columns, no_label, readable
from orchestrator.data.parquet_files import StoredFile, find_parquet_files
from orchestrator.data.samples import HALVES, Label, Sample
from orchestrator.errors import DataError
from orchestrator.masking import shown

BATCH_ROWS = 256
_READ_BYTES = 2**23
_LARGEST_LABEL = 2**63 - 1


class ParquetSource:
    """Source of Parquet files with the columns `image` and `label`: training and test files, or
    training files only.
    """

    def __init__(self, train: str, test: str | None) -> None:
        """Find the files.

        Args:
            train: A file, a folder of files, or a pattern; a local path or an address.
            test: Place of the test images, in the same form; None if there are no test images.

        Raises:
            DataError: No file matches.
            StorageUnavailableError: Object storage does not answer.
        """
        self.name = data_set_name(train)
        self.has_test_half = test is not None
        self._places: dict[Half, str | None] = {"train": train, "test": test}
        self._files: dict[Half, list[StoredFile]] = {
            "train": find_parquet_files(train),
            "test": find_parquet_files(test) if test else [],
        }

    @classmethod
    def open(cls, config: ParquetConfig) -> ParquetSource:
        """Open the source that a configuration describes.

        Raises:
            DataError: No file matches.
            StorageUnavailableError: Object storage does not answer.
        """
        return cls(config.train, config.test)

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: a digest of the names and stamps of its files. The stamp
        of a file changes when the content of the file changes.
        """
        digest = hashlib.sha256()
        for half in HALVES:
            for file in self._files[half]:
                digest.update(f"{half} {file.name} {file.stamp} ".encode())
        return digest.hexdigest()

    def num_images(self, half: Half) -> int:
        """Return the number of rows in all training files, or in all test files."""
        return num_rows(self._files[half])

    def place(self, half: Half) -> str:
        """Return the place of the training or test images: a file, a folder or a pattern."""
        return shown(self._places[half] or str(self._places["train"]))

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return an empty sequence, because Parquet files name only classes that have images."""
        return []

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the images file by file and row by row, with some hundred rows in memory at a
        time.
        """
        for file in self._files[half]:
            row = 0
            with opened(file) as parquet:
                check_columns(parquet, file.where)
                for batch in parquet.iter_batches(BATCH_ROWS, columns=["image", "label"]):
                    for cell, label in zip(
                        batch.column("image"), batch.column("label").to_pylist(), strict=True
                    ):
                        where = f"{file.where} row {row}"
                        yield Sample(
                            where,
                            file_name(cell),
                            f"{file.stamp} {row}",
                            partial(_load, cell, label, where),
                        )
                        row += 1


def data_set_name(train: str) -> str:
    """Return the name of the data set, which is the name of its folder. If `train` is a file, a
    pattern or a folder named `train`, the data set is named after the parent folder.
    """
    parts = nameable(train).partition("?")[0].rstrip("/").split("/")
    is_part = parts[-1] == "train" or parts[-1].endswith(".parquet") or "*" in parts[-1]
    return parts[-2:][0] if is_part else parts[-1]


@contextmanager
def opened(file: StoredFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file to read some hundred rows at a time.

    Raises:
        DataError: The file is not readable.
        StorageUnavailableError: Object storage does not answer.
    """
    # read in small buffers, because by default pyarrow reads a whole row group at once, and a row
    # group may be the whole file
    in_parts = partial(pq.ParquetFile, pre_buffer=False, buffer_size=_READ_BYTES)
    with file.open() as stream, readable(file.where), in_parts(stream) as parquet:
        yield parquet


def num_rows(files: Sequence[StoredFile]) -> int:
    """Return the total number of rows of some files, reading only their footers.

    Raises:
        DataError: A file is not readable.
        StorageUnavailableError: Object storage does not answer.
    """
    num = 0
    for file in files:
        with opened(file) as parquet:
            num += parquet.metadata.num_rows
    return num


def _load(cell: pa.Scalar, label: Label | None, where: str) -> tuple[Label, object]:
    if label is None:
        raise no_label(where)
    if isinstance(label, int) and label > _LARGEST_LABEL:
        raise DataError(
            f"the label {label} is larger than {_LARGEST_LABEL}",
            where=where,
            next_step="store labels as text",
        )
    return label, cell_value(cell, where)


def file_name(cell: pa.Scalar) -> str:
    """Return the file name that Hugging Face stores next to the bytes of an image."""
    if (
        not pa.types.is_struct(cell.type)
        or "path" not in {field.name for field in cell.type}
        or not cell.is_valid
    ):
        return ""
    name = cell["path"].as_py()
    return name if isinstance(name, str) else ""


SOURCE = ParquetSource
