"""Read the training images of a labelled source without their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.config.data import DataConfig
from orchestrator.data.samples import Sample
from orchestrator.data.sources.source import source_kind_of


class UnlabeledOfLabeled:
    """Source of unlabelled images: the training images of a labelled source, used without their
    labels. If the labelled source has no test images, all of its images are used.
    """

    def __init__(self, config: DataConfig, cache_dir: Path) -> None:
        """Open the labelled source.

        Args:
            config: Configuration of the labelled source.
            cache_dir: Folder in which the labelled source may cache decoded images.

        Raises:
            ConfigError: The extension that provides the images cannot be loaded.
            DataError: The labelled source has no readable images.
        """
        kept_here = config.model_copy(update={"cache_dir": cache_dir})
        self._source = source_kind_of(config).open(kept_here)

    @property
    def name(self) -> str:
        """Return the name of the labelled source."""
        return self._source.name

    @property
    def stamp(self) -> str:
        """Return the stamp of the labelled source, a text that changes when the images change."""
        return self._source.stamp

    @property
    def place(self) -> str:
        """Return the place of the labelled source's training images, such as a folder, for
        messages.
        """
        return self._source.place("train")

    @property
    def num_images(self) -> int:
        """Return the number of training images."""
        return self._source.num_images("train")

    def samples(self) -> Iterator[Sample]:
        """Yield the training images in the order of the labelled source."""
        return self._source.samples("train")
