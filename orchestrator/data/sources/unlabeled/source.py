"""The protocol behind which a source of images without labels keeps what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, assert_never

from orchestrator.config.data import labeled_source
from orchestrator.config.unlabeled import (
    UnlabeledArrivalsConfig,
    UnlabeledConfig,
    UnlabeledFolderConfig,
    UnlabeledOfLabeledConfig,
    UnlabeledParquetConfig,
)
from orchestrator.data.samples import Sample


class UnlabeledSource(Protocol):
    """Images without labels, wherever they lie."""

    @property
    def name(self) -> str:
        """Return what they are called."""

    @property
    def stamp(self) -> str:
        """Return a text that changes when anything does that the source reads."""

    @property
    def place(self) -> str:
        """Return where they lie, for messages."""

    @property
    def num_images(self) -> int:
        """Return how many there are, readable or not."""

    def samples(self) -> Iterator[Sample]:
        """Yield the images, always in the same order; their labels mean nothing."""


def open_unlabeled(config: UnlabeledConfig, cache_dir: Path) -> UnlabeledSource:
    """Return the images of a configuration before they are decoded.

    Args:
        config: Where they come from.
        cache_dir: Where a source of labeled images may keep what it decodes.

    Raises:
        DataError: There is nothing that can be read.
        StorageUnavailableError: Object storage does not answer.
    """
    # each source brings its own libraries
    match config:
        case UnlabeledParquetConfig():
            from orchestrator.data.sources.unlabeled.parquet import (  # noqa: PLC0415
                UnlabeledParquet,
            )

            return UnlabeledParquet(config.path)
        case UnlabeledFolderConfig():
            from orchestrator.data.sources.unlabeled.image_folder import (  # noqa: PLC0415
                UnlabeledFolder,
            )

            return UnlabeledFolder(config.path)
        case UnlabeledOfLabeledConfig():
            from orchestrator.data.sources.unlabeled.labeled import (  # noqa: PLC0415
                UnlabeledOfLabeled,
            )

            return UnlabeledOfLabeled(labeled_source(config), cache_dir)
        case UnlabeledArrivalsConfig():
            from orchestrator.data.sources.unlabeled.arrivals import (  # noqa: PLC0415
                UnlabeledArrivals,
            )

            return UnlabeledArrivals(config)
        case _:
            assert_never(config)
