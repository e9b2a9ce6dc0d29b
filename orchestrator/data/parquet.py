"""Parquet files of images → uint8 arrays; every unusable row is named."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from orchestrator.errors import DataError

Shape = tuple[int, int, int]


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or a folder's Parquet files in the order of their names.

    Raises:
        DataError: There is no such file, or a folder without Parquet files.
    """
    if path.is_file():
        return [path]
    files = sorted(path.glob("*.parquet")) if path.is_dir() else []
    if not files:
        what = "holds no *.parquet file" if path.is_dir() else "no such file or folder"
        raise DataError(what, where=str(path), next_step="correct data.train and data.test")
    return files


def read_parquet_images(file: Path, shape: Shape) -> tuple[npt.NDArray[np.uint8], list[int] | list[str]]:
    """Reads the columns `image` and `label`.

    Args:
        file: One Parquet file.
        shape: (channels, height, width) to which every image is converted.

    Returns:
        Images (rows, channels, height, width) and their labels.

    Raises:
        DataError: Not a Parquet file, a column missing or of a wrong type, a missing label, or an image that cannot be decoded.
    """
    cells, labels = read_cells(file, str(file))
    return decode_cells(cells, range(len(cells)), shape, str(file)), labels


def read_cells(source: Path | pa.BufferReader, where: str) -> tuple[pa.ChunkedArray, list[int] | list[str]]:
    """Reads the columns `image`, as it is, and `label`.

    Args:
        source: One Parquet file, or its content.
        where: What the file is called in errors.

    Raises:
        DataError: Not a Parquet file, a column missing or of a wrong type, a missing label.
    """
    try:
        table = _read_columns(source, where)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"is not a readable Parquet file ({error})", where=where, next_step="write it again") from None
    return table.column("image"), _labels(table.column("label"), where)


def decode_cells(cells: pa.ChunkedArray, rows: Sequence[int], shape: Shape, where: str) -> npt.NDArray[np.uint8]:
    """Decodes some rows of a column `image`, (rows, channels, height, width).

    Raises:
        DataError: An image that cannot be decoded.
    """
    images = np.empty((len(rows), *shape), dtype=np.uint8)
    for position, row in enumerate(rows):
        images[position] = _decode(cells[row], shape, f"{where} row {row}")
    return images


def _read_columns(source: Path | pa.BufferReader, where: str) -> pa.Table:
    with pq.ParquetFile(source) as parquet:
        missing = [name for name in ("image", "label") if name not in parquet.schema_arrow.names]
        if missing:
            found = ", ".join(parquet.schema_arrow.names)
            raise DataError(f"has no column {missing[0]!r} (it has {found})", where=where, next_step="rename the column")
        return parquet.read(columns=["image", "label"])


def _labels(column: pa.ChunkedArray, where: str) -> list[int] | list[str]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"the column 'label' is of type {column.type}", where=where, next_step="use text or integers")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DataError("has no label", where=f"{where} row {row}", next_step="label it or remove the row")
    labels: list[int] | list[str] = column.to_pylist()
    return labels


def _decode(value: pa.Scalar, shape: Shape, where: str) -> npt.NDArray[np.uint8]:
    content = value.as_py()
    if isinstance(content, dict):
        content = content.get("bytes")
    if content is None:
        raise DataError("has no image", where=where, next_step="remove the row")
    if isinstance(content, bytes):
        try:
            with Image.open(io.BytesIO(content)) as image:
                return _to_array(image, shape)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"cannot be decoded ({error})", where=where, next_step="replace the image or remove the row") from None
    return _to_array(_from_pixels(content, where), shape)


def _from_pixels(content: object, where: str) -> Image.Image:
    advice = "give height x width, or height x width x 1 or 3, of integers in 0..255 or floating-point numbers in [0, 1]"
    try:
        pixels = np.asarray(content)
        numeric = np.issubdtype(pixels.dtype, np.number)
    except ValueError:
        numeric = False
    if not numeric or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)) or not pixels.size:
        raise DataError("is not an image of pixels", where=where, next_step=advice)
    if not np.isfinite(pixels).all():
        count = int((~np.isfinite(pixels)).sum())
        raise DataError(f"has {count} pixels that are NaN or infinite", where=where, next_step="replace the image or remove the row")
    highest = 1.0 if np.issubdtype(pixels.dtype, np.floating) else 255
    if pixels.min() < 0 or pixels.max() > highest:
        raise DataError(f"has pixels from {pixels.min()} to {pixels.max()}", where=where, next_step=advice)
    scaled = np.rint(pixels * (255 / highest)).astype(np.uint8)
    return Image.fromarray(scaled.squeeze(axis=2) if scaled.ndim == 3 and scaled.shape[2] == 1 else scaled)


def _to_array(image: Image.Image, shape: Shape) -> npt.NDArray[np.uint8]:
    channels, height, width = shape
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(converted, dtype=np.uint8)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)
