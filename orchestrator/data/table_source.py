"""Present a decoded table as a source: the bundled digits, or the images that a retraining
collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from orchestrator.config.image_source import Half
from orchestrator.data.image_table import ImageTable
from orchestrator.data.samples import Label, Sample


class TableSource:
    """Source that provides the already decoded images of a table."""

    has_test_half = True

    def __init__(self, table: ImageTable) -> None:
        """Store the table without reading it.

        Args:
            table: The images.
        """
        self.table = table

    @property
    def name(self) -> str:
        """Return the name of the table."""
        return self.table.name

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: the fingerprint of the table, which changes with the
        content of the table.
        """
        return self.table.fingerprint

    def place(self, half: Half) -> str:
        """Return the place of the training or test images: the path of the table's file."""
        return str(self.table.path)

    def num_images(self, half: Half) -> int:
        """Return the number of training or test images."""
        return int((self.table.is_test == (half == "test")).sum())

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return an empty sequence, because a table names only classes that have images."""
        return []

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the images in the order of the table."""
        for row in np.flatnonzero(self.table.is_test == (half == "test")).tolist():
            yield Sample(
                f"{self.name} row {row}",
                "",
                f"{self.table.fingerprint} {row}",
                partial(_load, self.table, row),
            )


def _load(table: ImageTable, row: int) -> tuple[Label, object]:
    label = str(table.labels[row])
    # channels last, as in image files; copied, because the table is memory-mapped and read-only
    return int(label) if table.integer_labels else label, np.moveaxis(
        table.images[row], 0, 2
    ).copy()
