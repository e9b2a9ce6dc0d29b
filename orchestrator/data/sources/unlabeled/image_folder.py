"""Read a folder of unlabelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

from orchestrator.data.samples import Sample
from orchestrator.data.sources.image_folder import files_below, printable, read_file
from orchestrator.errors import DataError


class UnlabeledFolder:
    """Source of all images below a folder, at any depth.

    Hidden files and files without an image suffix are skipped.
    """

    def __init__(self, path: Path) -> None:
        """Store the folder without reading it.

        Args:
            path: The folder.
        """
        self.name = printable(path.name)
        self.place = printable(path)
        self._path = path

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: a digest of the paths, sizes, modification times and
        change times (ctime) of all image files.
        """
        return hashlib.sha256(repr([stamp for _, stamp in self._files]).encode()).hexdigest()

    @property
    def num_images(self) -> int:
        """Return the number of files with an image suffix."""
        return len(self._files)

    def samples(self) -> Iterator[Sample]:
        """Yield the files in the order of their paths."""
        for path, stamp in self._files:
            load = partial(read_file, "", path)
            yield Sample(printable(path), printable(path.name), stamp, load)

    @cached_property
    def _files(self) -> list[tuple[Path, str]]:
        if not self._path.is_dir():
            raise DataError(
                "no such folder", where=self.place, next_step="correct data.unlabeled.path"
            )
        return sorted(files_below(self._path))
