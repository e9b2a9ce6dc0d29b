"""A decoded data set as a source: what comes with this program, or has been put together by a
retraining.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from orchestrator.data.image_table import ImageTable
from orchestrator.data.samples import Half, Label, Sample


class TableSource:
    """The images of a table, as pixels."""

    def __init__(self, table: ImageTable) -> None:
        """Reads nothing yet.

        Args:
            table: The images.
        """
        self._table = table

    @property
    def name(self) -> str:
        """As the table is called."""
        return self._table.name

    @property
    def stamp(self) -> str:
        """Of the content."""
        return self._table.fingerprint

    def place(self, half: Half) -> str:
        """The table's file."""
        return str(self._table.path)

    def num_images(self, half: Half) -> int:
        """Rows of the half."""
        return int((self._table.is_test == (half == "test")).sum())

    def empty_classes(self, half: Half) -> Sequence[str]:
        """None: a class is there by its images."""
        return []

    def samples(self, half: Half) -> Iterator[Sample]:
        """In the order of the table."""
        for row in np.flatnonzero(self._table.is_test == (half == "test")).tolist():
            yield Sample(
                f"{self.name} row {row}",
                "",
                f"{self._table.fingerprint} {row}",
                partial(_load, self._table, row),
            )


def _load(table: ImageTable, row: int) -> tuple[Label, object]:
    label = str(table.labels[row])
    # channels last, as images are stored elsewhere; a copy, because the table is only mapped
    return int(label) if table.integer_labels else label, np.moveaxis(
        table.images[row], 0, 2
    ).copy()
