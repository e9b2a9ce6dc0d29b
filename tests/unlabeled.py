"""Images without labels for tests."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode (channels, height, width) losslessly."""
    stream = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)).save(
        stream, "PNG"
    )
    return stream.getvalue()


def write_unlabeled(path: Path, images: Iterable[npt.NDArray[np.uint8]]) -> Path:
    """Write a Parquet file with images and without labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": [png(image) for image in images]}), path)
    return path


def noise(
    num: int, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0
) -> npt.NDArray[np.uint8]:
    """Return images that are all different."""
    return np.random.default_rng(seed).integers(0, 256, (num, *shape), dtype=np.uint8)
