"""Collect the quarantined files, which ticks (executions of the retraining) skip until they change.

A candidate that learned from such a file was rejected because of its data, or rolled back. Files
that an earlier lineage lists as skipped are included.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.retraining.lineage import Lineage, QuarantinedFile
from orchestrator.retraining.registration import load_lineage
from orchestrator.retraining.state import PutAside, State, file_id
from orchestrator.tracking.registry import REASON_TAG, ModelRegistry


def quarantined_files(
    state: State, known: tuple[Lineage, ...], registry: ModelRegistry, folder: Path
) -> list[QuarantinedFile]:
    """Return the files that ticks (executions of the retraining) skip: files of candidates that
    were rejected because of the data or rolled back, and files that known lineages list as skipped.

    The files of candidates newer than the champion are looked up in the registry. The files of
    older candidates are listed in the known lineages.

    Args:
        state: State of the retraining, which lists the rejected and rolled-back candidates.
        known: Lineages of the champion and of the held candidate; their files are never skipped.
        registry: Registry that contains the lineages of the rejected and rolled-back candidates.
        folder: Folder for downloaded lineages.

    Raises:
        UserInputError: A lineage is missing or corrupt.
        TrackingUnavailableError: The registry does not answer.
    """
    learned = {file.sha256 for lineage in known for file in lineage.files}
    found = [file for lineage in known for file in lineage.quarantined]
    for put_aside in state.put_aside:
        if state.champion is None or int(put_aside.pair.student) > int(state.champion.student):
            found += _files_of(put_aside, registry, folder)
    return [file for file in found if file.sha256 not in learned]


def _files_of(put_aside: PutAside, registry: ModelRegistry, folder: Path) -> list[QuarantinedFile]:
    version = put_aside.pair.student
    lineage = load_lineage(registry, put_aside.pair, folder / version)
    reason = registry.version("student", version).tags.get(REASON_TAG, "rejected")
    left_out = [
        QuarantinedFile(name=file.name, sha256=file.sha256, reason=f"version {version}: {reason}")
        for file in lineage.files
        if not put_aside.files or file_id(file.sha256) in put_aside.files
    ]
    return [*left_out, *lineage.quarantined]
