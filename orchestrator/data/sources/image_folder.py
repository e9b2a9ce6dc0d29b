"""A folder of images, one sub-folder a class."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from orchestrator.config.data import ImageFolderConfig
from orchestrator.config.image_source import Half
from orchestrator.data.samples import Sample
from orchestrator.errors import DataError

SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
_HIDDEN = (".", "__MACOSX")


@dataclass(frozen=True)
class _ClassFolder:
    """A class: its name, and its images with their sizes and times."""

    name: str
    files: tuple[tuple[Path, str], ...]


class FolderSource:
    """Two folders of class folders, or one with all images in the half `train`.

    Images may lie deeper within their class folder. Hidden files and what is no image by its name
    are left out.
    """

    def __init__(self, train: Path, test: Path | None) -> None:
        """Reads nothing yet.

        Args:
            train: Holds a folder a class.
            test: The same for test images; None where there is none.
        """
        self.has_test_half = test is not None
        self._folders: dict[Half, Path | None] = {"train": train, "test": test}
        self.name = (
            train.parent.name if test is not None and train.parent == test.parent else train.name
        )

    @classmethod
    def open(cls, config: ImageFolderConfig) -> FolderSource:
        """Read nothing yet."""
        return cls(config.train, config.test)

    @property
    def stamp(self) -> str:
        """Of the paths, sizes and times of all files: reading all of a large folder before each run
        would take minutes.
        """
        lines = [sample.stamp for half in self._folders for sample in self.samples(half)]
        empty = [self.empty_classes(half) for half in self._folders]
        return hashlib.sha256(repr((empty, lines)).encode()).hexdigest()

    def num_images(self, half: Half) -> int:
        """Files that are images by their name."""
        return sum(len(folder.files) for folder in self._classes[half])

    def place(self, half: Half) -> str:
        """The folder."""
        return printable(self._folders[half] or self._folders["train"] or "")

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Class folders without a file that is an image by its name."""
        return [
            f"{self.place(half)}/{folder.name}"
            for folder in self._classes[half]
            if not folder.files
        ]

    def stray_images(self, half: Half) -> Sequence[str]:
        """Return the images that lie beside the class folders."""
        folder = self._folders[half]
        return [] if folder is None else [printable(path) for path in _images_beside(folder)]

    def samples(self, half: Half) -> Iterator[Sample]:
        """Class by class, files in the order of their names."""
        for folder in self._classes[half]:
            for path, stamp in folder.files:
                yield Sample(
                    printable(path),
                    printable(path.name),
                    stamp,
                    partial(read_file, folder.name, path),
                )

    @cached_property
    def _classes(self) -> dict[Half, list[_ClassFolder]]:
        return {
            half: [] if folder is None else _class_folders(folder)
            for half, folder in self._folders.items()
        }


def has_class_folders(folder: Path) -> bool:
    """Whether there is such a folder, and it holds folders with images, at whatever depth."""
    return folder.is_dir() and any(
        next(files_below(inner), None) for inner in _visible_folders(folder)
    )


def _class_folders(root: Path) -> list[_ClassFolder]:
    if not root.is_dir():
        raise DataError(
            "no such folder",
            where=printable(root),
            next_step="correct the path: it holds one folder a class",
        )
    folders = [
        _ClassFolder(_class_name(folder), tuple(sorted(files_below(folder))))
        for folder in _visible_folders(root)
    ]
    if not folders:
        raise DataError(
            "holds no class folders",
            where=printable(root),
            next_step="put each class's images into a folder of its name",
        )
    return folders


def _class_name(folder: Path) -> str:
    name = folder.name
    if name != printable(name):
        raise DataError(
            "the name of a class folder is no valid text",
            where=printable(folder),
            next_step="rename it",
        )
    return name


def _visible_folders(root: Path) -> list[Path]:
    try:
        return sorted(
            entry
            for entry in root.iterdir()
            if entry.is_dir() and not entry.name.startswith(_HIDDEN)
        )
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})",
            where=printable(root),
            next_step="make it readable",
        ) from None


def files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield images with their stamps, in no order. Links are followed, each folder is entered
    once.
    """
    entered = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        identity = os.stat(place)  # noqa: PTH116 - of what os.walk gives
        if (identity.st_dev, identity.st_ino) in entered:
            folders.clear()
            continue
        entered.add((identity.st_dev, identity.st_ino))
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        for name in files:
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith(_HIDDEN):
                yield path, _stamp(path)


def _images_beside(root: Path) -> list[Path]:
    return sorted(
        entry
        for entry in root.iterdir()
        if entry.suffix.lower() in SUFFIXES
        and not entry.name.startswith(_HIDDEN)
        and not entry.is_dir()
    )


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:  # a link to nowhere: whoever loads the image says so
        return f"{path} missing"
    # the time of the last change also moves where a file is replaced by an older one of the same
    # size
    return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def read_file(label: str, path: Path) -> tuple[str, bytes]:
    """Return an image as a sample gives it.

    Raises:
        OSError: It cannot be read.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise OSError(errno.EINVAL, "not a file")
    return label, path.read_bytes()


def printable(path: Path | str) -> str:
    """Return a path as text, also where its bytes are none."""
    return os.fsencode(path).decode("utf-8", "replace")


SOURCE = FolderSource
