"""Compare the files of the source with a champion's lineage: find new, changed and missing files.

Unchanged files and files that may still be growing are not read.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.config.retraining_source import SourceConfig
from orchestrator.data.growing_folder import (
    Folder,
    ParquetContent,
    SourceFile,
    is_held_out,
    read_content,
)
from orchestrator.retraining.lineage import Lineage, QuarantinedFile, TakenFile, UnlabeledTakenFile

_PARQUET = ".parquet"


@dataclass(frozen=True)
class NewFile:
    """A file that is not in the champion's lineage.

    Attributes:
        name: Path within the source.
        sha256: Digest of the file's content.
        num_bytes: Size of the file.
        modified: Time at which the file was written, in seconds since 1970.
        digests: Digests of the file's images, by class.
        integer_labels: Whether the file's labels are integers.
        num_held_out: Number of distinct held-out images by class; None if not counted.
    """

    name: str
    sha256: str
    num_bytes: int
    modified: float
    digests: Mapping[str, Sequence[bytes]]
    integer_labels: bool
    num_held_out: Mapping[str, int] | None = None

    def taken(self, delivery: int) -> TakenFile:
        """Return this file as a lineage entry of the given delivery (group of new files)."""
        num_images = {label: len(digests) for label, digests in self.digests.items()}
        return TakenFile(
            name=self.name,
            sha256=self.sha256,
            num_bytes=self.num_bytes,
            modified=self.modified,
            delivery=delivery,
            num_images=num_images,
            num_held_out=None if self.num_held_out is None else dict(self.num_held_out),
        )


@dataclass(frozen=True)
class Scan:
    """Comparison of the source with a lineage.

    Attributes:
        kept: Files of the lineage that are present and unchanged, under their current names.
        new: Complete files that are not in the lineage.
        changed: Files of the lineage whose content has changed.
        vanished: Files of the lineage that are missing.
        unsettled: Names of new files that may still be growing.
        rewritten: Files of the lineage that are being rewritten.
        quarantined: Files that are skipped until they change.
        modified: Modification time of each present Parquet file, in seconds since 1970.
    """

    kept: Sequence[TakenFile] = ()
    new: Sequence[NewFile] = ()
    changed: Sequence[TakenFile] = ()
    vanished: Sequence[TakenFile] = ()
    unsettled: Sequence[str] = ()
    rewritten: Sequence[TakenFile] = ()
    quarantined: Sequence[QuarantinedFile] = field(default_factory=tuple)
    modified: Sequence[float] = ()

    @property
    def num_files(self) -> int:
        """Count the files that are present and no longer growing."""
        return len(self.kept) + len(self.new) + len(self.changed) + len(self.quarantined)

    def new_images(self) -> dict[str, int]:
        """Count the images in new files, by class."""
        counts: Counter[str] = Counter()
        for file in self.new:
            counts.update({label: len(digests) for label, digests in file.digests.items()})
        return dict(counts)

    def num_held_out(self, fraction: float) -> dict[str, int]:
        """Count the held-out images of known and new files by class.

        Known files whose lineage entry lacks the number of held-out images are not counted.
        """
        counts: Counter[str] = Counter()
        for file in self.kept:
            counts.update(file.num_held_out or {})
        for new in self.new:
            counts.update(held_out_of(new.digests, fraction))
        return dict(counts)


def scan(
    source: SourceConfig,
    lineage: Lineage,
    quarantined: Sequence[QuarantinedFile],
    now: float | None = None,
    set_aside: Sequence[QuarantinedFile] = (),
) -> Scan:
    """List the source, read its new files, and compare the source with a lineage.

    A file with the same name, size and modification time as in the lineage is considered unchanged
    and is not read again.

    Args:
        source: Configuration of the source.
        lineage: Lineage to compare with.
        quarantined: Rejected files; a new file with the content of one of them is skipped.
        now: Present time in seconds since 1970; None means now.
        set_aside: Files to skip without reading, because they killed a process that read them.

    Raises:
        DataError: The folder does not exist, or a new file is invalid.
        StorageUnavailableError: The source does not answer.
    """
    folder, now = Folder(source.path), time.time() if now is None else now
    listed = folder.names()
    files = {name: file for name, file in listed.items() if name.endswith(_PARQUET)}
    known = {file.name: file for file in lineage.files}
    same = {
        name for name, file in files.items() if name in known and looks_the_same(file, known[name])
    }
    unsettled = {
        name
        for name, file in files.items()
        if name not in same and not _is_settled(file, listed, source, now)
    }
    skipped = same | unsettled | {file.name for file in set_aside}
    read = {name: read_content(folder, name) for name in files if name not in skipped}
    moved = {file.sha256: file for file in lineage.files if file.name not in files}
    unwanted = {file.sha256: file for file in quarantined}

    kept, changed = [known[name] for name in same], []
    new: list[NewFile] = []
    left_out = [file for file in set_aside if file.name in files]
    for name, content in read.items():
        before = known.get(name) or moved.get(content.sha256)
        if before is not None and before.sha256 == content.sha256:
            kept.append(before.model_copy(update={"name": name, "modified": files[name].modified}))
        elif before is not None:
            changed.append(before)
        elif content.sha256 in unwanted:
            left_out.append(unwanted[content.sha256])
        else:
            new.append(_new_file(files[name], content, source.held_out_fraction))
    rewritten = [known[name] for name in sorted(unsettled) if name in known]
    there = {file.sha256 for file in (*kept, *changed, *rewritten)}
    order = {file.sha256: position for position, file in enumerate(lineage.files)}
    return Scan(
        kept=sorted(kept, key=lambda file: order[file.sha256]),
        new=new,
        changed=changed,
        vanished=[file for file in lineage.files if file.sha256 not in there],
        unsettled=sorted(unsettled - known.keys()),
        rewritten=rewritten,
        quarantined=left_out,
        modified=[file.modified for file in files.values()],
    )


def list_new(source: SourceConfig, lineage: Lineage, now: float | None = None) -> list[SourceFile]:
    """List the complete files that are new or changed compared with a lineage, sorted by name;
    `scan` reads these files.

    Args:
        source: Configuration of the source.
        lineage: Lineage to compare with.
        now: Present time in seconds since 1970; None means now.

    Raises:
        DataError: The folder does not exist.
        StorageUnavailableError: The source does not answer.
    """
    listed, now = Folder(source.path).names(), time.time() if now is None else now
    known = {file.name: file for file in lineage.files}
    return [
        file
        for name, file in listed.items()
        if name.endswith(_PARQUET)
        and not (name in known and looks_the_same(file, known[name]))
        and _is_settled(file, listed, source, now)
    ]


def list_unlabeled(source: SourceConfig, now: float | None = None) -> list[SourceFile]:
    """List the complete Parquet files without labels, sorted by name; empty if their folder is not
    configured.

    Args:
        source: Configuration of the source.
        now: Present time in seconds since 1970; None means now.

    Raises:
        DataError: The folder does not exist.
        StorageUnavailableError: The source does not answer.
    """
    if source.unlabeled is None:
        return []
    listed = Folder(source.unlabeled.path, "source.unlabeled.path").names()
    now = time.time() if now is None else now
    return [
        file
        for name, file in listed.items()
        if name.endswith(_PARQUET) and _is_settled(file, listed, source, now)
    ]


def take_unlabeled(
    source: SourceConfig, files: Sequence[SourceFile], known: Sequence[UnlabeledTakenFile]
) -> list[UnlabeledTakenFile]:
    """Return the lineage entries of the present files without labels.

    Known files come first, in their earlier order, so that results computed from their images are
    reused.

    Args:
        source: Configuration of the source.
        files: Files found in the source.
        known: Files from which the champion learned. A file with the same name, size and time is
            considered unchanged and is not read again.

    Raises:
        StorageUnavailableError: A file cannot be read.
    """
    if source.unlabeled is None:
        return []
    folder = Folder(source.unlabeled.path, "source.unlabeled.path")
    by_name = {file.name: file for file in known}
    order = {name: position for position, name in enumerate(by_name)}
    return [
        before
        if (before := by_name.get(file.name)) is not None and looks_the_same(file, before)
        else UnlabeledTakenFile(
            name=file.name,
            sha256=hashlib.sha256(folder.content(file.name)).hexdigest(),
            num_bytes=file.num_bytes,
            modified=file.modified,
        )
        for file in sorted(files, key=lambda it: (order.get(it.name, len(order)), it.name))
    ]


def _is_settled(
    file: SourceFile, listed: Mapping[str, SourceFile], source: SourceConfig, now: float
) -> bool:
    if source.marker is not None:
        return file.name + source.marker in listed
    return now - file.modified >= source.settled_seconds


def looks_the_same(file: SourceFile, known: TakenFile | UnlabeledTakenFile) -> bool:
    """Return whether a listed file has the size and modification time that the lineage records."""
    return file.num_bytes == known.num_bytes and file.modified == known.modified


def held_out_of(digests: Mapping[str, Sequence[bytes]], fraction: float) -> dict[str, int]:
    """Count the distinct held-out images, which no model learns from, by class.

    Args:
        digests: Digests of the images, by class.
        fraction: Share of all images that is held out.
    """
    return {
        label: sum(is_held_out(digest, fraction) for digest in set(found))
        for label, found in digests.items()
    }


def _new_file(file: SourceFile, content: ParquetContent, held_out_fraction: float) -> NewFile:
    digests: dict[str, list[bytes]] = {}
    for label, digest in zip(content.labels, content.digests, strict=True):
        digests.setdefault(str(label), []).append(digest)
    return NewFile(
        file.name,
        content.sha256,
        file.num_bytes,
        file.modified,
        digests,
        integer_labels=all(isinstance(label, int) for label in content.labels),
        num_held_out=held_out_of(digests, held_out_fraction),
    )
