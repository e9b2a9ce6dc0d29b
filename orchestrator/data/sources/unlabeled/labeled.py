"""The training images of a labeled source, as if they had no labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.config.data import DataConfig
from orchestrator.data.samples import Sample
from orchestrator.data.sources.source import source_kind_of


class UnlabeledOfLabeled:
    """A labeled source's training images; of one without test images, all."""

    def __init__(self, config: DataConfig, cache_dir: Path) -> None:
        """Open the source.

        Args:
            config: Of the source.
            cache_dir: Where it may keep what it decodes.

        Raises:
            ConfigError: The extension that the images come from cannot be loaded.
            DataError: There is nothing that can be read.
        """
        kept_here = config.model_copy(update={"cache_dir": cache_dir})
        self._source = source_kind_of(config).open(kept_here)

    @property
    def name(self) -> str:
        """Return what the source is called."""
        return self._source.name

    @property
    def stamp(self) -> str:
        """Return the source's stamp."""
        return self._source.stamp

    @property
    def place(self) -> str:
        """Return where the source lies."""
        return self._source.place("train")

    @property
    def num_images(self) -> int:
        """Return how many training images it has."""
        return self._source.num_images("train")

    def samples(self) -> Iterator[Sample]:
        """Yield its training images, in its order."""
        return self._source.samples("train")
