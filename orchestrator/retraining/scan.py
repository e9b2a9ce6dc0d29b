"""What has arrived in the source since the champion learned: new, changed, vanished files, read as
far as they are new.
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
    """A file that the champion does not know.

    Attributes:
        name: Path within the source.
        sha256: Of its content.
        num_bytes: Its size.
        modified: When it was written.
        digests: Of its images, by class.
        integer_labels: Whether its labels are integers.
        num_held_out: Different images that no model learns from, by class; None where not counted.
    """

    name: str
    sha256: str
    num_bytes: int
    modified: float
    digests: Mapping[str, Sequence[bytes]]
    integer_labels: bool
    num_held_out: Mapping[str, int] | None = None

    def taken(self, delivery: int) -> TakenFile:
        """Return the file as the next lineage names it."""
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
    """The source beside a lineage.

    Attributes:
        kept: Files of the lineage that are there as they were (or under another name, as they are
            now called).
        new: Files that are not of the lineage, and settled.
        changed: Files of the lineage whose content differs now.
        vanished: Files of the lineage that are gone.
        unsettled: Names of new files that may still be growing.
        rewritten: Files of the lineage that somebody is writing anew.
        quarantined: Files left out.
        modified: When each Parquet file that is there was written, in seconds since 1970.
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
        """Files that are there and settled."""
        return len(self.kept) + len(self.new) + len(self.changed) + len(self.quarantined)

    def new_images(self) -> dict[str, int]:
        """Images in new files, by class."""
        counts: Counter[str] = Counter()
        for file in self.new:
            counts.update({label: len(digests) for label, digests in file.digests.items()})
        return dict(counts)

    def num_held_out(self, fraction: float) -> dict[str, int]:
        """Return how many images are held out, or would be, by class, as far as that is known."""
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
    """Lists the source, and reads what is new.

    A file of the same name, size and time is taken to be the same and not read again.

    Args:
        source: Where.
        lineage: What is known.
        quarantined: What to leave out.
        now: Seconds since 1970; None means now.
        set_aside: What not even to read.

    Raises:
        DataError: No such folder, or a new file that is not what it should be.
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
    """List the settled files that a scan reads, by name.

    Args:
        source: Where.
        lineage: What is known.
        now: Seconds since 1970; None means now.

    Raises:
        DataError: No such folder.
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
    """List the settled Parquet files without labels, by name; none where none are expected.

    Args:
        source: Where.
        now: Seconds since 1970; None means now.

    Raises:
        DataError: No such folder.
        StorageUnavailableError: It does not answer.
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
    """Return files without labels as they are now: those that are known first, in their order, so
    that what was computed of their images is found again.

    Args:
        source: Where.
        files: As listed.
        known: With which the champion learned. One of the same name, size and time is taken to be
            the same and not read again.

    Raises:
        StorageUnavailableError: One cannot be read.
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
    """Return whether a listed file counts as the known one, without being read."""
    return file.num_bytes == known.num_bytes and file.modified == known.modified


def held_out_of(digests: Mapping[str, Sequence[bytes]], fraction: float) -> dict[str, int]:
    """Return how many different images are never learned from, by class.

    Args:
        digests: Of the images, by class.
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
