"""Inject wrong labels into an arrival, and choose the arrival.

A wrong label is another new class of the same arrival, drawn at random. At most 1 - 1/k of the
labels of k classes become wrong: then a label says nothing about its image. With more wrong labels
the classes would be told apart again under exchanged names (two classes, all labels wrong), and
held-out images, whose labels are wrong alike, could not reveal that.
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
        where: What it is called in errors.

    Raises:
        DataError: Not a Parquet file, a column missing or of a wrong type, a missing label.
    """
    with readable(where), pq.ParquetFile(path) as parquet:
        check_columns(parquet, where)
        labels = parquet.read(columns=["label"]).column("label").to_pylist()
    if None in labels:
        raise no_label(f"{where} row {labels.index(None)}")
    return [str(label) for label in labels]


def choose_arrival(classes: Sequence[Set[str]], where: str) -> int:
    """Return the position of the last arrival, after the first, with two new classes or more: all
    ticks before it are those of the replay without wrong labels.

    Args:
        classes: Of every arrival, in the order of the replay.
        where: The folder, for messages.

    Raises:
        UserInputError: There is none.
    """
    new = new_classes(classes)
    for position in range(len(classes) - 1, 0, -1):
        if len(new[position]) >= _MIN_CLASSES:
            return position
    raise UserInputError(
        "--wrong-labels exchanges the labels of new classes, and no arrival after the first brings"
        " two of them",
        where=where,
        next_step="form larger arrivals, e.g. --group-by week, or leave --wrong-labels out",
    )


def new_classes(classes: Sequence[Set[str]]) -> list[set[str]]:
    """Return for each arrival the classes that no earlier one has."""
    known: set[str] = set()
    found = []
    for of_arrival in classes:
        found.append(set(of_arrival) - known)
        known |= of_arrival
    return found


def draw_wrong_labels(labels: Sequence[str], share: float, seed: str) -> dict[int, str]:
    """Return the wrong labels of some positions.

    Args:
        labels: The right ones; two classes or more.
        share: How many become wrong, in (0, 1]; at least one, and at most 1 - 1/k for k classes.
        seed: Of the choice of positions and labels.
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
    """Write a copy of a Parquet file with other labels in some rows; it keeps its modification
    time.

    Raises:
        OSError: It cannot be written.
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
