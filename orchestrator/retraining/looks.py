"""Count how many verdicts a held-out image has given."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int64

from orchestrator.config.data import ArrivalsConfig
from orchestrator.data.growing_folder import Folder
from orchestrator.data.image_table import ImageTable


def looks_at(
    table: ImageTable, rows: Iterable[int], arrivals: ArrivalsConfig
) -> Int64[np.ndarray, " images"]:
    """Return how many verdicts each image gives, the coming one included.

    Every champion has its delivery, and was judged by the held-out images of all deliveries so far:
    the images of the first one give a verdict for each delivery.

    Args:
        table: The images with their places.
        rows: Of the table.
        arrivals: The files, with their deliveries, of which it was made.
    """
    folder = Folder(arrivals.path)
    last = max(file.delivery for file in arrivals.files)
    of_file = {folder.where(file.name): last - file.delivery + 1 for file in arrivals.files}
    files = (table.place_of(int(row)).rpartition(" row ")[0] for row in rows)
    return np.asarray([of_file.get(file, 1) for file in files], dtype=np.int64)
