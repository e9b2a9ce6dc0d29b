"""Read the training images of a labelled source without their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.config.data import DataConfig
from orchestrator.data.samples import Sample
from orchestrator.data.sources.source import source_kind_of


class UnlabeledOfLabeled:
    """Training images of a labelled source; all images if it has no test images."""

    def __init__(self, config: DataConfig, cache_dir: Path) -> None:
        """Open the source.

        Args:
            config: Configuration of the source.
            cache_dir: Folder in which the source may cache decoded images.

        Raises:
            ConfigError: The extension that provides the images cannot be loaded.
            DataError: Nothing readable was found.
        """
        kept_here = config.model_copy(update={"cache_dir": cache_dir})
        self._source = source_kind_of(config).open(kept_here)

    @property
    def name(self) -> str:
        """Return the name of the source."""
        return self._source.name

    @property
    def stamp(self) -> str:
        """Return the stamp of the source."""
        return self._source.stamp

    @property
    def place(self) -> str:
        """Return the place of the source."""
        return self._source.place("train")

    @property
    def num_images(self) -> int:
        """Return the number of training images."""
        return self._source.num_images("train")

    def samples(self) -> Iterator[Sample]:
        """Yield the training images in the order of the source."""
        return self._source.samples("train")
