"""Choose the arrival (group of files) that gets wrong labels, and inject the wrong labels.

A wrong label is the name of another class that is new in the same arrival, drawn at random. At most
a share of 1 - 1/k of the labels of k classes becomes wrong. At this share, labels and images are
independent. At a higher share, labels and images are related again: if all labels of two classes
are wrong, a model learns both classes with swapped names. The gate could not detect the swap,
because the labels of the held-out images are swapped too.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.data.parquet_columns import check_columns, no_label, readable
from orchestrator.errors import UserInputError

_MIN_CLASSES = 2


def read_labels(path: Path, where: str) -> list[str]:
    """Return the label of every row of a Parquet file, as text.

    Args:
        path: The file on this machine.
        where: Name of the file in error messages.

    Raises:
        DataError: The file is not a Parquet file, a column is missing or has the wrong type, or a
            label is missing.
    """
    with readable(where), pq.ParquetFile(path) as parquet:
        check_columns(parquet, where)
        labels = parquet.read(columns=["label"]).column("label").to_pylist()
    if None in labels:
        raise no_label(f"{where} row {labels.index(None)}")
    return [str(label) for label in labels]


def choose_arrival(classes: Sequence[Set[str]], where: str) -> int:
    """Return the position of the last arrival with at least two new classes, except the first.

    An arrival is a group of files that arrived together. The last suitable arrival is chosen
    because the replay before this arrival is the same as without wrong labels.

    Args:
        classes: Classes of each arrival, in the order of the replay.
        where: Name of the arrivals' folder, for error messages.

    Raises:
        UserInputError: No arrival after the first has two new classes.
    """
    new = new_classes(classes)
    for position in range(len(classes) - 1, 0, -1):
        if len(new[position]) >= _MIN_CLASSES:
            return position
    raise UserInputError(
        "--wrong-labels exchanges the labels of new classes, and no arrival after the first brings"
        " two of them",
        where=where,
        next_step="form larger arrivals, e.g. --group-by week, or omit --wrong-labels",
    )


def new_classes(classes: Sequence[Set[str]]) -> list[set[str]]:
    """Return, for each arrival (group of files), the new classes: those of no earlier arrival."""
    known: set[str] = set()
    found = []
    for of_arrival in classes:
        found.append(set(of_arrival) - known)
        known |= of_arrival
    return found


def draw_wrong_labels(labels: Sequence[str], share: float, seed: str) -> dict[int, str]:
    """Choose images at random, and return a wrong label for the index of each chosen image.

    Args:
        labels: Correct label of each image; at least two classes.
        share: Share of the images that get wrong labels, in (0, 1]. At least one image is chosen.
            For k classes, a share above 1 - 1/k is reduced to 1 - 1/k.
        seed: Seed for the choice of images and wrong labels.
    """
    classes = sorted(set(labels))
    most = 1 - 1 / len(classes)
    generator = random.Random(f"wrong labels {seed}")  # noqa: S311 - a simulation
    chosen = generator.sample(range(len(labels)), max(1, round(min(share, most) * len(labels))))
    return {
        position: generator.choice([label for label in classes if label != labels[position]])
        for position in sorted(chosen)
    }


def write_relabelled(source: Path, target: Path, labels: Mapping[int, str]) -> None:
    """Write a copy of a Parquet file with other labels in some rows.

    The copy gets the modification time of the original.

    Args:
        source: The original file.
        target: Path of the copy.
        labels: New label by row.

    Raises:
        OSError: The copy cannot be written.
    """
    with pq.ParquetFile(source) as parquet:
        table = parquet.read()
    position = table.schema.get_field_index("label")
    stored = table.schema.field(position).type
    kind = stored.value_type if pa.types.is_dictionary(stored) else stored
    values = table.column(position).to_pylist()
    for row, label in labels.items():
        values[row] = int(label) if pa.types.is_integer(kind) else label
    pq.write_table(table.set_column(position, "label", pa.array(values, type=kind)), target)
    written = source.stat().st_mtime_ns
    os.utime(target, ns=(written, written))
