"""Read a folder of images with one subfolder per class."""

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
    """Name and image files of a class. `files` contains the path and the stamp of each file; the
    stamp is a text that changes when the file changes.
    """

    name: str
    files: tuple[tuple[Path, str], ...]


class FolderSource:
    """Source of images in class folders. Training and test images each have a folder of class
    folders; without test images, there is only the folder of the training images.

    Images may lie deeper within their class folder. Hidden files and files without an image suffix
    are skipped.
    """

    def __init__(self, train: Path, test: Path | None) -> None:
        """Store the folders without reading them.

        Args:
            train: Folder with one subfolder per class.
            test: Folder of the same form for test images; None if there are no test images.
        """
        self.has_test_half = test is not None
        self._folders: dict[Half, Path | None] = {"train": train, "test": test}
        self.name = (
            train.parent.name if test is not None and train.parent == test.parent else train.name
        )

    @classmethod
    def open(cls, config: ImageFolderConfig) -> FolderSource:
        """Open the source that a configuration describes; the folders are not read yet."""
        return cls(config.train, config.test)

    @property
    def stamp(self) -> str:
        """Return the stamp of the source: a digest of the paths, sizes, modification times and
        change times (ctime) of all image files, and of the class folders without images. Contents
        are not read, because reading a large folder would take minutes before each run.
        """
        lines = [sample.stamp for half in self._folders for sample in self.samples(half)]
        empty = [self.empty_classes(half) for half in self._folders]
        return hashlib.sha256(repr((empty, lines)).encode()).hexdigest()

    def num_images(self, half: Half) -> int:
        """Return the number of files with an image suffix."""
        return sum(len(folder.files) for folder in self._classes[half])

    def place(self, half: Half) -> str:
        """Return the place of the training or test images: the path of their folder."""
        return printable(self._folders[half] or self._folders["train"] or "")

    def empty_classes(self, half: Half) -> Sequence[str]:
        """Return the class folders without image files."""
        return [
            f"{self.place(half)}/{folder.name}"
            for folder in self._classes[half]
            if not folder.files
        ]

    def stray_images(self, half: Half) -> Sequence[str]:
        """Return the images that lie next to the class folders and therefore have no class."""
        folder = self._folders[half]
        return [] if folder is None else [printable(path) for path in _images_beside(folder)]

    def samples(self, half: Half) -> Iterator[Sample]:
        """Yield the images class by class, sorted by file name."""
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
    """Return whether the folder exists and has subfolders that contain images at any depth."""
    return folder.is_dir() and any(
        next(files_below(inner), None) for inner in _visible_folders(folder)
    )


def _class_folders(root: Path) -> list[_ClassFolder]:
    if not root.is_dir():
        raise DataError(
            "no such folder",
            where=printable(root),
            next_step="correct the path: it should hold one folder per class",
        )
    folders = [
        _ClassFolder(_class_name(folder), tuple(sorted(files_below(folder))))
        for folder in _visible_folders(root)
    ]
    if not folders:
        raise DataError(
            "holds no class folders",
            where=printable(root),
            next_step="put the images of each class into a folder named like the class",
        )
    return folders


def _class_name(folder: Path) -> str:
    name = folder.name
    if name != printable(name):
        raise DataError(
            "the name of a class folder is not valid text",
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
    """Yield the path of each image below a folder, with a stamp (a text that changes when the file
    changes), in no particular order. Links are followed; a folder that is reached twice is read
    once.
    """
    entered = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        identity = os.stat(place)  # noqa: PTH116 - os.walk gives the path as text
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
    except OSError:  # a dangling link, reported when the image is loaded
        return f"{path} missing"
    # ctime also changes if a file is replaced by an older file of the same size
    return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def read_file(label: str, path: Path) -> tuple[str, bytes]:
    """Return the label and the content of an image, as a sample's `load` does.

    Raises:
        OSError: The image cannot be read.
    """
    if path.exists() and not path.is_file():  # reading a pipe would block forever
        raise OSError(errno.EINVAL, "not a file")
    return label, path.read_bytes()


def printable(path: Path | str) -> str:
    """Return a path as text, even if its bytes are not valid text."""
    return os.fsencode(path).decode("utf-8", "replace")


SOURCE = FolderSource
