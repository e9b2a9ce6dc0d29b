"""Write images of some digits to a Parquet file, as the source of a retraining receives them.

.venv/bin/python experiments/deliver_digits.py arrivals 0 1     makes arrivals/digits-0-1.parquet
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder for the file, created if missing")
    parser.add_argument(
        "digits", type=int, nargs="+", choices=range(10), metavar="DIGIT", help="classes, 0 to 9"
    )
    parser.add_argument("--wrong", action="store_true", help="shuffle the labels among the images")
    arguments = parser.parse_args()
    digits = load_digits()
    rows = np.flatnonzero(np.isin(digits.target, arguments.digits))
    images = [_png(np.rint(digits.images[row] * (255 / 16)).astype(np.uint8)) for row in rows]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / f"digits-{'-'.join(map(str, arguments.digits))}.parquet"
    labels = digits.target[rows]
    if arguments.wrong:
        labels = np.random.default_rng(0).permutation(labels)
    pq.write_table(pa.table({"image": images, "label": labels}), file)
    print(f"{file}: {len(rows)} images")  # noqa: T201 - a script


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main()
