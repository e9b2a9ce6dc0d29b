"""Find the parts of a stage store that have not been used for a long time, and remove them.

The age of a stage, an evaluation or a feature table is the age of its manifest. Loading it, or a
stage that was computed from it, renews the manifest. The age of other parts is the age of their
newest file. Files that a writer may be using, and files with unknown names, are never removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pyarrow import fs

from orchestrator.stages.artifact_files import MANIFEST, TEMPORARY, read_manifest
from orchestrator.stages.listing import Listing, children_of
from orchestrator.stages.store import PROGRESS, StageStore

# Stages, checkpoints of unfinished stages, outputs of jobs and leftovers younger than this period
# stay, even if a rule selects them: a writer may still be using them. Checkpoints of a stored stage
# are removed at any age.
WRITER_PERIOD = timedelta(hours=1)
RAY_PERIOD = timedelta(days=7)
RAY_FOLDER = "ray"
# Folder for outputs of jobs of `orchestrator submit` that have no volume other than the store's.
JOBS_FOLDER = "jobs"

_KEY = re.compile(r"[0-9a-f]{64}")
_TENSORS = re.compile(r"[0-9a-f]{64}\.safetensors")
_DAMAGED = re.compile(r"damaged-.*\.json")


class Kind(StrEnum):
    """Kind of a part of a store. The report of a clean-up shows the values of the kinds."""

    STAGES = "stages, evaluations, feature tables, models"
    CHECKPOINTS = "epoch checkpoints"
    LEFTOVERS = "leftovers of writers"
    RAY = "folders of Ray"
    JOBS = "outputs of jobs"


@dataclass(frozen=True)
class RetentionRule:
    """The rule that decides which parts of a store stay.

    Attributes:
        now: The time of the decision, with its time zone.
        unused: How long a stage, or the checkpoints of an unfinished stage, may be unused before
            removal; less than an hour counts as an hour.
        needed: Keys of parts that stay at any age.
    """

    now: datetime
    unused: timedelta
    needed: frozenset[str] = frozenset()

    def is_unused(self, key: str, newest: datetime | None) -> bool:
        """Return whether the rule removes a part of the store that was last used at `newest`.
        Return False if `newest` is None, because the time is unknown.
        """
        return key not in self.needed and self.is_older(newest, max(self.unused, WRITER_PERIOD))

    def is_older(self, newest: datetime | None, period: timedelta) -> bool:
        """Return whether the time `newest` is more than `period` ago; False if `newest` is None."""
        return newest is not None and self.now - newest > period


@dataclass(frozen=True)
class StorePart:
    """One part of a store, with the decision whether to remove it.

    Attributes:
        kind: Kind of the part.
        path: Path in the store's filesystem.
        num_bytes: Total size of the part's files.
        goes: Whether the rule removes the part.
    """

    kind: Kind
    path: str
    num_bytes: int
    goes: bool


def newest_keys(store: StageStore, limit: int) -> list[str]:
    """Return the keys of the stages and evaluations that were stored or used last, newest first.

    Args:
        store: The store.
        limit: Largest number of keys to return.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    with _reaching(store):
        folders = [
            info.base_name for info in children_of(store, store.root) if _is_key_folder(info)
        ]
        found = store.filesystem.get_file_info([store.path(key, MANIFEST) for key in folders])
    stored = [
        (info.mtime.timestamp() if info.mtime else 0.0, key)
        for key, info in zip(folders, found, strict=True)
        if info.is_file
    ]
    return [key for _, key in sorted(stored, reverse=True)[:limit]]


def exists(store: StageStore) -> bool:
    """Return whether the store exists at its address.

    Raises:
        StorageUnavailableError: The address cannot be accessed.
    """
    with _reaching(store):
        return bool(store.filesystem.get_file_info(store.root).type != fs.FileType.NotFound)


def clean_up(store: StageStore, rule: RetentionRule, dry_run: bool = False) -> list[StorePart]:
    """Remove the parts of a store that a rule selects. Each part is removed right after the
    decision about it, so that parts that are used during the clean-up stay.

    Args:
        store: The store.
        rule: Decides which parts stay.
        dry_run: Whether to only decide, and remove nothing.

    Returns:
        Every part of the store, with the decision whether to remove it.

    Raises:
        StorageUnavailableError: The store cannot be read, or a part cannot be removed.
    """
    parts = []
    with _reaching(store):
        listing = Listing(store)
        for part in _judged(store, listing, rule):
            stays = part.goes and not dry_run and listing.is_outdated(part.path)
            if part.goes and not dry_run and not stays:
                _remove(store, part)
            parts.append(replace(part, goes=False) if stays else part)
    return parts


# --- deciding which parts to remove ---------------------------------------------------------------


def _judged(store: StageStore, listing: Listing, rule: RetentionRule) -> Iterator[StorePart]:
    """Yield all parts of the store, with the decision whether to remove each part. Checkpoints come
    before stages, because the decision about checkpoints needs the manifests of their stages.
    """
    for info in listing.children(store.path(PROGRESS)):
        if _is_key_folder(info):
            yield from _judged_checkpoints(store, listing, info, rule)
    for info in listing.children(store.path(RAY_FOLDER)):
        files, newest = _content(listing, info)
        yield StorePart(Kind.RAY, info.path, _size(files), rule.is_older(newest, RAY_PERIOD))
    for info in listing.children(store.path(JOBS_FOLDER)):
        files, newest = _content(listing, info)
        yield StorePart(Kind.JOBS, info.path, _size(files), rule.is_unused(info.base_name, newest))
    children = listing.children(store.root)
    yield from _judged_leftovers(
        [info for info in children if info.is_file and info.base_name.startswith(TEMPORARY)], rule
    )
    for info in children:
        if _is_key_folder(info):
            yield from _judged_stage(store, listing, info, rule)


def _judged_stage(
    store: StageStore, listing: Listing, folder: fs.FileInfo, rule: RetentionRule
) -> Iterator[StorePart]:
    files = listing.children(folder.path)
    manifests = [info for info in files if info.base_name == MANIFEST]
    if manifests and rule.is_unused(folder.base_name, manifests[0].mtime):
        yield StorePart(Kind.STAGES, folder.path, _size(files), goes=True)
        return
    leftovers = _leftovers(store, files)
    if manifests:
        yield StorePart(
            Kind.STAGES,
            folder.path,
            _size([info for info in files if info not in leftovers]),
            goes=False,
        )
    yield from _judged_leftovers(leftovers, rule)


def _judged_checkpoints(
    store: StageStore, listing: Listing, folder: fs.FileInfo, rule: RetentionRule
) -> Iterator[StorePart]:
    files, newest = _content(listing, folder)
    is_stored = store.filesystem.get_file_info(store.path(folder.base_name, MANIFEST)).is_file
    goes = is_stored or rule.is_unused(folder.base_name, newest)
    leftovers: list[fs.FileInfo] = []
    if not goes:
        for phase in listing.children(folder.path):
            leftovers += _leftovers(
                store, [info for info in files if info.path.startswith(f"{phase.path}/")]
            )
    yield StorePart(
        Kind.CHECKPOINTS,
        folder.path,
        _size([info for info in files if info not in leftovers]),
        goes,
    )
    yield from _judged_leftovers(leftovers, rule)


def _judged_leftovers(files: Sequence[fs.FileInfo], rule: RetentionRule) -> Iterator[StorePart]:
    for info in files:
        yield StorePart(
            Kind.LEFTOVERS, info.path, _size([info]), rule.is_older(info.mtime, WRITER_PERIOD)
        )


def _leftovers(store: StageStore, files: Sequence[fs.FileInfo]) -> list[fs.FileInfo]:
    """Return the files in one artifact's folder that no reader uses: temporary files, corrupt
    manifests, and tensors that no manifest names.
    """
    tensors = [info.base_name for info in files if _TENSORS.fullmatch(info.base_name)]
    has_manifest = any(info.base_name == MANIFEST for info in files)
    # Do not read the manifest if there is only one file of tensors: the manifest can only name this
    # file, and each read is a request to the store.
    named = (
        tensors[0]
        if has_manifest and len(tensors) == 1
        else _tensors_named_in(store, files)
        if tensors
        else None
    )
    return [
        info
        for info in files
        if info.base_name.startswith(TEMPORARY)
        or _DAMAGED.fullmatch(info.base_name)
        or (_TENSORS.fullmatch(info.base_name) and info.base_name != named)
    ]


def _tensors_named_in(store: StageStore, files: Sequence[fs.FileInfo]) -> str | None:
    for info in files:
        if info.base_name == MANIFEST:
            with (
                suppress(FileNotFoundError, ValueError),
                store.filesystem.open_input_stream(info.path) as stream,
            ):
                return f"{read_manifest(stream.read()).sha256}.safetensors"
    return None


# --- the filesystem -------------------------------------------------------------------------------


def _remove(store: StageStore, part: StorePart) -> None:
    """Remove a part. A stage's manifest is removed first, so that no reader finds a stage whose
    tensors are missing.
    """
    with suppress(FileNotFoundError):  # removed by another process
        if part.kind is Kind.STAGES:
            store.filesystem.delete_file(f"{part.path}/{MANIFEST}")
        if store.filesystem.get_file_info(part.path).type == fs.FileType.Directory:
            store.filesystem.delete_dir(part.path)
            return
        store.filesystem.delete_file(part.path)
        folder = part.path.rpartition("/")[0]
        if _KEY.fullmatch(folder.rpartition("/")[2]) and not children_of(store, folder):
            store.filesystem.delete_dir(folder)


def _content(listing: Listing, info: fs.FileInfo) -> tuple[list[fs.FileInfo], datetime | None]:
    """Return all files in a folder, or only the file if `info` is a file. Also return the time of
    the newest file; if there are no files, the time of the folder's last change.
    """
    inside = listing.inside(info.path) if info.type == fs.FileType.Directory else []
    files = [each for each in (info, *inside) if each.is_file]
    return files, max(
        (each.mtime for each in files or (info, *inside) if each.mtime is not None), default=None
    )


def _is_key_folder(info: fs.FileInfo) -> bool:
    return bool(info.type == fs.FileType.Directory and _KEY.fullmatch(info.base_name))


def _size(files: Sequence[fs.FileInfo]) -> int:
    return sum(info.size or 0 for info in files)


@contextmanager
def _reaching(store: StageStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "check the address and its permissions"
        raise store.unavailable("searched or cleaned up", error, advice) from None
