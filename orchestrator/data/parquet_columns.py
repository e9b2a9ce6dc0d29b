"""The columns `image` and `label` of Parquet files: checked, and read as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.data.decoding import Shape, decode
from orchestrator.errors import DataError


def read_cells(
    source: pa.BufferReader, where: str, has_labels: bool = True
) -> tuple[pa.ChunkedArray, list[int] | list[str]]:
    """Read the columns `image`, as it is, and `label`.

    Args:
        source: The content of one Parquet file.
        where: What the file is called in errors.
        has_labels: Whether labels are read; else there are none.

    Raises:
        DataError: Not a Parquet file, a column missing or of a wrong type, a missing label.
    """
    with readable(where), pq.ParquetFile(source) as parquet:
        names = ["image", "label"] if has_labels else ["image"]
        check_columns(parquet, where, names)
        table = parquet.read(columns=names)
        labels = table.column("label").to_pylist() if has_labels else []
    if None in labels:
        raise no_label(f"{where} row {labels.index(None)}")
    return table.column("image"), labels


def decode_cells(
    cells: pa.ChunkedArray, rows: Sequence[int], shape: Shape, where: str
) -> npt.NDArray[np.uint8]:
    """Decode some rows of a column `image`, (rows, channels, height, width).

    Raises:
        DataError: An image that cannot be decoded.
    """
    images = np.empty((len(rows), *shape), dtype=np.uint8)
    for position, row in enumerate(rows):
        images[position] = decode(cells[row].as_py(), shape, f"{where} row {row}").pixels
    return images


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Name the file in the errors of reading it.

    Raises:
        DataError: Not a Parquet file, or a damaged one.
    """
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"is not a readable Parquet file ({error})", where=where, next_step="write it again"
        ) from None


def check_columns(
    parquet: pq.ParquetFile, where: str, names: Sequence[str] = ("image", "label")
) -> None:
    """Reject a file without the columns that are read.

    Raises:
        DataError: A column is missing, is there twice, or is of a wrong type.
    """
    schema = parquet.schema_arrow
    for name in names:
        if name not in schema.names:
            found = ", ".join(schema.names)
            raise DataError(
                f"has no column {name!r} (it has {found})",
                where=where,
                next_step="rename the column",
            )
        if schema.names.count(name) > 1:
            raise DataError(
                f"has several columns {name!r}", where=where, next_step="leave one of them"
            )
    if "label" not in names:
        return
    stored = schema.field("label").type
    kind = stored.value_type if pa.types.is_dictionary(stored) else stored
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise DataError(
            f"the column 'label' is of type {stored}", where=where, next_step="use text or integers"
        )


def no_label(where: str) -> DataError:
    """Return the error for a row without a label."""
    return DataError("has no label", where=where, next_step="label it or remove the row")
