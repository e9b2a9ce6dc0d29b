"""Check and read the columns `image` and `label` of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.data.decoding import Shape, decode
from orchestrator.data.image_limits import ImageLimits
from orchestrator.errors import DataError

# Largest number of values in the nested lists of one image: a colour image of 1,182 x 1,182 pixels
# has as many. A value in a list takes up to forty bytes.
_MOST_LISTED_VALUES = 2**22


def read_cells(
    source: pa.BufferReader, where: str, has_labels: bool = True
) -> tuple[pa.ChunkedArray, list[int] | list[str]]:
    """Read the column `image`, undecoded, and the column `label`.

    Args:
        source: The content of one Parquet file.
        where: Name of the file in errors.
        has_labels: Whether to read labels; if not, the returned list is empty.

    Raises:
        DataError: The content is not a Parquet file, a column is missing or has the wrong type, or
            a label is missing.
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
    cells: pa.ChunkedArray, rows: Sequence[int], shape: Shape, where: str, limits: ImageLimits
) -> npt.NDArray[np.uint8]:
    """Return the decoded images of some rows as an array (rows, channels, height, width).

    Args:
        cells: The column `image`.
        rows: Rows to decode.
        shape: (channels, height, width) to which every image is converted.
        where: Name of the file in errors.
        limits: Size limits of an image.

    Raises:
        DataError: An image cannot be decoded.
    """
    images = np.empty((len(rows), *shape), dtype=np.uint8)
    for position, row in enumerate(rows):
        place = f"{where} row {row}"
        decoded = decode(cell_value(cells[row], place), shape, place, limits)
        images[position] = decoded.pixels
    return images


def cell_value(cell: pa.Scalar, where: str) -> object:
    """Return the content of a cell of the column `image`.

    Args:
        cell: The cell.
        where: Name of the cell in errors.

    Raises:
        DataError: The cell is a list of too many pixels. Lists are limited because few compressed
            bytes may expand to a huge list.
    """
    num_values = _num_listed(cell)
    if num_values > _MOST_LISTED_VALUES:
        raise DataError(
            f"is a list of {num_values:,} values, more than {_MOST_LISTED_VALUES:,}",
            where=where,
            next_step="store the image as PNG",
        )
    return cell.as_py()


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Translate errors that occur while a file is read into errors that name the file.

    Raises:
        DataError: The file is not a Parquet file, or is corrupt.
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
    """Reject a file without the columns to read.

    Raises:
        DataError: A column is missing, occurs twice, or has the wrong type.
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
                f"has several columns {name!r}", where=where, next_step="keep one of them"
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


def _num_listed(cell: pa.Scalar) -> int:
    """Return the number of values in the nested lists of a cell."""
    if isinstance(cell.type, pa.BaseExtensionType):
        return _num_listed(cell.value)
    if not cell.is_valid:
        return 0
    if pa.types.is_struct(cell.type):
        return sum(_num_listed(field) for field in cell.values())
    if not _is_list(cell.type):
        return 0
    values = cell.values
    while _is_list(values.type):
        values = values.flatten()
    return len(values)


def _is_list(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType)


def no_label(where: str) -> DataError:
    """Return the error for a row without a label."""
    return DataError("has no label", where=where, next_step="label it or remove the row")
