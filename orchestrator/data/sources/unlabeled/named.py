"""Read images named on the command line: files, folders, and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from orchestrator.data.samples import Sample
from orchestrator.data.sources.image_folder import printable, read_file
from orchestrator.data.sources.unlabeled.image_folder import UnlabeledFolder
from orchestrator.data.sources.unlabeled.parquet import UnlabeledParquet
from orchestrator.errors import DataError

_PARQUET = ".parquet"


class NamedImages:
    """Source of the images at the places (files, folders or patterns) that a user names. The source
    yields the images in the order of the places.
    """

    def __init__(self, places: Sequence[str]) -> None:
        """Check that every place exists, without reading images.

        Args:
            places: Image files, folders with images at any depth, Parquet files with the column
                `image`, patterns of such files, or their addresses in object storage.

        Raises:
            DataError: A place is missing, or is a folder without images.
            StorageUnavailableError: Object storage does not answer.
        """
        self._sources = [_open(place) for place in places]

    @property
    def num_images(self) -> int:
        """Return the number of images, readable or not."""
        return sum(
            1 if isinstance(source, Sample) else source.num_images for source in self._sources
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the images of all places (files, folders or patterns), in the order in which the
        user named the places. The labels of the samples are empty.
        """
        for source in self._sources:
            if isinstance(source, Sample):
                yield source
            else:
                yield from source.samples()


def _open(place: str) -> Sample | UnlabeledFolder | UnlabeledParquet:
    if "://" in place or place.lower().endswith(_PARQUET):
        return UnlabeledParquet(place, "the path")
    path = Path(place)
    if path.is_dir():
        folder = UnlabeledFolder(path)
        if not folder.num_images:
            raise DataError("holds no images", printable(path), _advice(path))
        return folder
    if not path.exists():
        raise DataError("no such file or folder", printable(path), "correct the path")
    return Sample(
        printable(path), printable(path.name), printable(path), partial(read_file, "", path)
    )


def _advice(folder: Path) -> str:
    if any(folder.glob(f"*{_PARQUET}")):
        return f"name its Parquet files: {printable(folder)}/*{_PARQUET}"
    return "name image files, a folder with images, or a Parquet file"
