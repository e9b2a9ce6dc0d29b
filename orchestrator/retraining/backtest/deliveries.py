"""Deliver past arrivals to the source folder of a replay; one arrival may get wrong labels.

An arrival is a group of files that arrived together. After each delivery, the replay runs one
retraining.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.data.growing_folder import Folder, SourceFile
from orchestrator.errors import StorageUnavailableError
from orchestrator.retraining.backtest.arrivals import Arrival
from orchestrator.retraining.backtest.wrong_labels import (
    draw_wrong_labels,
    read_labels,
    write_relabelled,
)


class Deliveries:
    """Delivers past arrivals (groups of files) to a folder, with correct or with wrong labels.

    Local files are delivered as symbolic links and never changed. Files in a bucket are downloaded
    once.
    """

    def __init__(self, uri: str, arrivals: Sequence[Arrival], downloads: Path) -> None:
        """Read the labels of every file to deliver.

        Args:
            uri: Folder that contains the files.
            arrivals: Groups of files that arrived together, as returned by `group_files`.
            downloads: Folder for files that are downloaded from a bucket.

        Raises:
            DataError: A file is not a Parquet file of images and labels.
            StorageUnavailableError: A file cannot be read.
        """
        self.arrivals = arrivals
        self._folder = Folder(uri, "--backtest")
        self._downloads = None if "://" not in uri else downloads
        self._labels = {
            file.name: read_labels(self._local(file), self._folder.where(file.name))
            for arrival in arrivals
            for file in arrival.files
        }

    def num_images(self, arrival: Arrival) -> dict[str, int]:
        """Return the number of images of each class in an arrival (a group of files).

        Numeric labels come first, in numeric order.
        """
        counts = Counter(label for file in arrival.files for label in self._labels[file.name])
        return {label: counts[label] for label in sorted(counts, key=_natural)}

    def deliver(self, arrival: Arrival, into: Path) -> None:
        """Deliver an arrival: link the files of this group into a folder.

        Raises:
            StorageUnavailableError: The folder cannot be written.
        """
        for file in arrival.files:
            self._place(file, into, {})

    def deliver_with_wrong_labels(
        self, arrival: Arrival, new: set[str], share: float, seed: str, into: Path
    ) -> tuple[int, frozenset[str]]:
        """Deliver an arrival (a group of files) to a folder, with wrong labels for a share of the
        images of new classes.

        Args:
            arrival: The group of files to deliver.
            new: Classes that appear in this arrival for the first time; at least two.
            share: Share of the new classes' images that get wrong labels.
            seed: Seed for the choice of images and of their wrong labels.
            into: Target folder.

        Returns:
            The number of wrong labels, and the SHA-256 of each file that contains wrong labels.

        Raises:
            StorageUnavailableError: The folder cannot be written.
        """
        rows = [
            (file.name, row, label)
            for file in arrival.files
            for row, label in enumerate(self._labels[file.name])
            if label in new
        ]
        wrong = draw_wrong_labels([label for _, _, label in rows], share, seed)
        by_file: dict[str, dict[int, str]] = {file.name: {} for file in arrival.files}
        for position, label in wrong.items():
            name, row, _ = rows[position]
            by_file[name][row] = label
        written = [self._place(file, into, by_file[file.name]) for file in arrival.files]
        digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in written if path)
        return len(wrong), frozenset(digests)

    def _place(self, file: SourceFile, into: Path, labels: Mapping[int, str]) -> Path | None:
        """Place a symbolic link to a file in the folder `into`, and return None.

        If `labels` is not empty, place a relabelled copy instead, and return the path of the copy.
        """
        target = into / file.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if labels:
                write_relabelled(self._local(file), target, labels)
                return target
            target.symlink_to(self._local(file))
        except OSError as error:
            raise _cannot_be_written(into, error) from None
        return None

    def _local(self, file: SourceFile) -> Path:
        """Return the local path of a file; a file in a bucket is downloaded first."""
        if self._downloads is None:
            return Path(self._folder.uri) / file.name
        path = self._downloads / file.name
        if path.exists() and _is_same(path, file):
            return path
        content = self._folder.content(file.name)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.utime(temporary, (file.modified, file.modified))
            temporary.replace(path)
        except OSError as error:
            raise _cannot_be_written(self._downloads, error) from None
        return path


def _is_same(path: Path, file: SourceFile) -> bool:
    found = path.stat()
    # compare times with a tolerance: a file system may store less precise times than a bucket
    return found.st_size == file.num_bytes and abs(found.st_mtime - file.modified) < 0.01


def _natural(label: str) -> tuple[int, int, str]:
    return (0, int(label), "") if label.isdecimal() else (1, 0, label)


def _cannot_be_written(folder: Path, error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(
        f"cannot be written ({error.strerror or error})",
        where=str(folder),
        next_step="free some space, or choose another --output",
    )
