"""Define the protocol of a source of unlabelled images."""

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
    """Protocol of a source of unlabelled images."""

    @property
    def name(self) -> str:
        """Return the name of the source."""

    @property
    def stamp(self) -> str:
        """Return the stamp of the source, a text that changes when the images change."""

    @property
    def place(self) -> str:
        """Return the place of the images, such as a folder or an address, for messages."""

    @property
    def num_images(self) -> int:
        """Return the number of images, readable or not."""

    def samples(self) -> Iterator[Sample]:
        """Yield the images, always in the same order. Callers must ignore the labels."""


def open_unlabeled(config: UnlabeledConfig, cache_dir: Path) -> UnlabeledSource:
    """Open the source of unlabelled images that a configuration describes.

    Args:
        config: Configuration of the source.
        cache_dir: Folder for decoded images; used only by a labelled source that is read without
            its labels.

    Raises:
        ConfigError: The extension that provides the images cannot be loaded.
        DataError: The source has no readable images.
        StorageUnavailableError: Object storage does not answer.
    """
    # import each source only when needed, because it loads libraries that no other source needs
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
