"""Set aside files whose reading kills a tick (a run of `orchestrator retrain`).

Before a tick reads new files, it lists the files in a note, and removes the note when the tick ends
normally. If a tick finds a note, the tick that wrote the note was killed, and one of the listed
files may be the cause. The later tick reads each listed file in a separate process. Files that kill
such a process are skipped and reported until they change.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.config.retraining import Retraining
from orchestrator.data.growing_folder import Folder, SourceFile
from orchestrator.data.probing import survives
from orchestrator.retraining.lease import READING_NOTE
from orchestrator.retraining.lineage import Lineage, QuarantinedFile, UnlabeledTakenFile
from orchestrator.retraining.scan import list_new, list_unlabeled, looks_the_same
from orchestrator.retraining.storage import Storage

logger = logging.getLogger(__name__)

_SET_ASIDE = "set_aside"
_REASON = "reading the file killed a tick"


@dataclass(frozen=True)
class SetAside:
    """Files of a source that are skipped because they killed the process that read them.

    Attributes:
        labeled: Files in the folder `source.path`.
        unlabeled: Names of files in the folder `source.unlabeled.path`.
    """

    labeled: Sequence[QuarantinedFile] = ()
    unlabeled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _NewFile:
    """A file that is about to be read.

    Attributes:
        uri: Folder of the file.
        file: Name, size and modification time of the file.
        has_labels: Whether the file has labels.
    """

    uri: str
    file: SourceFile
    has_labels: bool

    @property
    def identity(self) -> str:
        """Return an identifier that changes when the file changes and that does not reveal the
        file's address.
        """
        file = self.file
        values = [self.has_labels, file.name, file.num_bytes, file.modified]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def begin_reading(
    storage: Storage, token: int, retraining: Retraining, lineage: Lineage
) -> SetAside:
    """Write a note that lists the files to read now, and return the files that must be skipped.

    Files are skipped if they killed a process that read them.

    Args:
        storage: Storage of the journal; this process holds the lease.
        token: Token of this process's lease. A note with another token was written by a process
            that was killed.
        retraining: Configuration of the retraining, including the source.
        lineage: Lineage of the champion, whose files are not read again.

    Raises:
        DataError: The source does not exist.
        StorageUnavailableError: Source or journal does not answer.
    """
    new = _new_files(retraining, lineage)
    noted = _noted(storage, token)
    left_out = []
    for it in new:
        name = f"{_SET_ASIDE}/{it.identity}.json"
        if storage.read(name) is None:
            if it.identity not in noted or _survives(it, retraining):
                continue
            storage.write(name, json.dumps({"name": it.file.name, "reason": _REASON}).encode())
        logger.warning("%s is skipped: %s", Folder(it.uri).where(it.file.name), _REASON)
        left_out.append(it)
    note = {"token": token, "files": [it.identity for it in new if it not in left_out]}
    storage.write(READING_NOTE, json.dumps(note).encode())
    return SetAside(
        [_quarantined(it) for it in left_out if it.has_labels],
        frozenset(it.file.name for it in left_out if not it.has_labels),
    )


def _new_files(retraining: Retraining, lineage: Lineage) -> list[_NewFile]:
    source = retraining.source
    new = [_NewFile(source.path, file, True) for file in list_new(source, lineage)]
    if source.unlabeled is not None:
        known = {file.name: file for file in lineage.unlabeled}
        new += [
            _NewFile(source.unlabeled.path, file, False)
            for file in _unknown(list_unlabeled(source), known)
        ]
    return new


def _unknown(files: Iterable[SourceFile], known: dict[str, UnlabeledTakenFile]) -> list[SourceFile]:
    return [
        file
        for file in files
        if file.name not in known or not looks_the_same(file, known[file.name])
    ]


def _noted(storage: Storage, token: int) -> frozenset[str]:
    """Return the identifiers of the files that an earlier, killed process was about to read.

    The process listed these files in a note. The result is empty if the note is missing or corrupt.
    """
    try:
        note: Any = json.loads(storage.read(READING_NOTE) or b"null")
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(note, dict) or note.get("token") == token:
        return frozenset()
    files = note.get("files")
    return (
        frozenset(it for it in files if isinstance(it, str))
        if isinstance(files, list)
        else frozenset()
    )


def _survives(it: _NewFile, retraining: Retraining) -> bool:
    logger.warning(
        "reading %s in a separate process, because a tick was killed while it read new files",
        Folder(it.uri).where(it.file.name),
    )
    max_pixels = retraining.experiment.data.max_image_pixels
    file, shape = it.file, retraining.source.shape
    return survives(it.uri, file.name, file.num_bytes, shape, max_pixels, it.has_labels)


def _quarantined(it: _NewFile) -> QuarantinedFile:
    """Describe a file to skip as a `QuarantinedFile`; the content is hashed but not parsed."""
    content = Folder(it.uri).content(it.file.name)
    return QuarantinedFile(
        name=it.file.name, sha256=hashlib.sha256(content).hexdigest(), reason=_REASON
    )
