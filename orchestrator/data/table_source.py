"""A decoded data set as a source: what comes with this program, or has been put together by a
retraining.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from orchestrator.config.image_source import Half
from orchestrator.data.image_table import ImageTable
from orchestrator.data.samples import Label, Sample


class TableSource:
    """The images of a table, as pixels."""

    has_test_half = True

    def __init__(self, table: ImageTable) -> None:
        """Reads nothing yet.

        Args:
            table: The images.
        """
        self.table = table

    @property
    def name(self) -> str:
        """As the table is called."""
        return self.table.name

    @property
    def stamp(self) -> str:
        """Of the content."""
        return self.table.fingerprint

    def place(self, half: Half) -> str:
        """The table's file."""
        return str(self.table.path)

    def num_images(self, half: Half) -> int:
        """Rows of the half."""
        return int((self.table.is_test == (half == "test")).sum())

    def empty_classes(self, half: Half) -> Sequence[str]:
        """None: a class is there by its images."""
        return []

    def samples(self, half: Half) -> Iterator[Sample]:
        """In the order of the table."""
        for row in np.flatnonzero(self.table.is_test == (half == "test")).tolist():
            yield Sample(
                f"{self.name} row {row}",
                "",
                f"{self.table.fingerprint} {row}",
                partial(_load, self.table, row),
            )


def _load(table: ImageTable, row: int) -> tuple[Label, object]:
    label = str(table.labels[row])
    # channels last, as images are stored elsewhere; a copy, because the table is only mapped
    return int(label) if table.integer_labels else label, np.moveaxis(
        table.images[row], 0, 2
    ).copy()
