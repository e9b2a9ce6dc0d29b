"""Retention: unused entries are removed; entries that are needed or being written stay. Real
stores; ages are set on the files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from pyarrow import fs

from orchestrator.errors import StorageUnavailableError
from orchestrator.models.artifact import Artifact
from orchestrator.stages.retention import (
    JOBS_FOLDER,
    Kind,
    RetentionRule,
    StorePart,
    clean_up,
    exists,
    newest_keys,
)
from orchestrator.stages.store import StageStore

A, B, C = "a" * 64, "b" * 64, "c" * 64
TENSORS = f"{'0' * 64}.safetensors"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
RULE = RetentionRule(NOW, timedelta(days=30))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)


def _artifact(number: float = 1.0) -> Artifact:
    return Artifact({"weights": torch.full((4,), number)}, {"seconds": number})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> StageStore:
    return StageStore(str(root))


def _aged(path: Path, age: timedelta) -> None:
    """Set the age of a file, or of a folder with everything in it."""
    for each in (*path.rglob("*"), path):
        os.utime(each, ((NOW - age).timestamp(),) * 2)


def _stored(store: StageStore, key: str, age: timedelta) -> Path:
    store.save(key, _artifact())
    folder = Path(store.path(key))
    _aged(folder, age)
    return folder


def _begun(store: StageStore, key: str, age: timedelta) -> Path:
    store.save_progress(key, "student", _artifact())
    folder = Path(store.path("progress", key))
    _aged(folder, age)
    return folder


def _file(path: Path, age: timedelta) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    _aged(path, age)
    return path


def _removed(parts: Sequence[StorePart]) -> set[tuple[Kind, str]]:
    return {(part.kind, part.path) for part in parts if part.goes}


# --- stages ---------------------------------------------------------------------------------------


def test_a_stage_is_removed_when_its_manifest_is_older_than_the_limit(store: StageStore) -> None:
    old, young = _stored(store, A, 30 * DAY + SECOND), _stored(store, B, 30 * DAY - SECOND)
    assert _removed(clean_up(store, RULE)) == {(Kind.STAGES, str(old))}
    assert not old.exists()
    assert young.exists()
    assert store.load(B) is not None


def test_a_stage_with_a_new_manifest_is_kept_however_old_its_tensors_are(store: StageStore) -> None:
    folder = _stored(store, A, 400 * DAY)
    _aged(folder / "manifest.json", DAY)
    assert _removed(clean_up(store, RULE)) == set()
    assert store.load(A) is not None


def test_a_needed_stage_is_kept_whatever_its_age(store: StageStore) -> None:
    needed, other = _stored(store, A, 4000 * DAY), _stored(store, B, 4000 * DAY)
    clean_up(store, RetentionRule(NOW, 30 * DAY, frozenset({A})))
    assert needed.exists()
    assert not other.exists()


def test_zero_days_still_keep_parts_younger_than_an_hour(store: StageStore) -> None:
    young, old = _stored(store, A, HOUR - SECOND), _stored(store, B, HOUR + SECOND)
    clean_up(store, RetentionRule(NOW, timedelta(0)))
    assert young.exists()
    assert not old.exists()


def test_a_dry_run_reports_the_same_parts_and_removes_nothing(
    store: StageStore, root: Path
) -> None:
    _stored(store, A, 31 * DAY)
    _begun(store, B, 31 * DAY)
    _file(root / ".tmp-1", DAY)
    _file(root / "ray" / "teacher-1" / "log", 8 * DAY)
    _file(root / JOBS_FOLDER / "run-digits-1" / "summary.json", 31 * DAY)
    before = sorted(root.rglob("*"))
    dry = clean_up(store, RULE, dry_run=True)
    assert sorted(root.rglob("*")) == before
    assert {part.kind for part in dry if part.goes} == set(Kind)
    assert clean_up(store, RULE) == dry


def test_a_part_includes_all_its_files(store: StageStore) -> None:
    folder = _stored(store, A, DAY)
    [part] = clean_up(store, RULE)
    assert part == StorePart(
        Kind.STAGES, str(folder), sum(file.stat().st_size for file in folder.iterdir()), goes=False
    )


def test_a_stages_manifest_is_removed_first_so_that_no_reader_finds_half_a_stage(
    store: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _stored(store, A, 31 * DAY)
    filesystem, seen = store.filesystem, []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(filesystem, name)

        def delete_dir(self, path: str) -> None:
            seen.append({file.suffix for file in Path(path).iterdir()})
            assert store.load(A) is None
            filesystem.delete_dir(path)

    monkeypatch.setattr(store, "filesystem", Watched())
    clean_up(store, RULE)
    assert seen == [{".safetensors"}]
    assert not folder.exists()


# --- epoch checkpoints ----------------------------------------------------------------------------


def test_checkpoints_untouched_for_the_limit_are_removed(store: StageStore) -> None:
    old, young = _begun(store, A, 31 * DAY), _begun(store, B, 29 * DAY)
    assert _removed(clean_up(store, RULE)) == {(Kind.CHECKPOINTS, str(old))}
    assert not store.has_progress(A)
    assert young.exists()


def test_checkpoints_are_as_old_as_their_newest_file(store: StageStore) -> None:
    folder = _begun(store, A, 31 * DAY)
    store.save_progress(A, "another phase", _artifact())
    _aged(folder / "another phase", DAY)
    clean_up(store, RULE)
    assert store.load_progress(A, "student") is not None


def test_checkpoints_of_a_stored_stage_are_removed_at_once(store: StageStore) -> None:
    _stored(store, A, DAY)
    folder = _begun(store, A, SECOND)
    assert _removed(clean_up(store, RULE)) == {(Kind.CHECKPOINTS, str(folder))}
    assert store.load(A) is not None


def test_checkpoints_of_a_needed_stage_are_kept_until_it_is_stored(store: StageStore) -> None:
    rule = RetentionRule(NOW, 30 * DAY, frozenset({A}))
    _begun(store, A, 400 * DAY)
    clean_up(store, rule)
    assert store.has_progress(A)
    _stored(store, A, DAY)
    clean_up(store, rule)
    assert not store.has_progress(A)


# --- leftovers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["damaged-12ab34cd.json", f".tmp-{'1' * 32}-manifest.json", TENSORS]
)
@pytest.mark.parametrize("folder", [A, f"progress/{A}/student"])
def test_leftovers_older_than_an_hour_are_removed(
    store: StageStore, root: Path, folder: str, name: str
) -> None:
    (_stored if folder == A else _begun)(store, A, DAY)
    leftover = _file(root / folder / name, HOUR + SECOND)
    assert _removed(clean_up(store, RULE)) == {(Kind.LEFTOVERS, str(leftover))}
    assert not leftover.exists()
    assert store.load(A) is not None or store.load_progress(A, "student") is not None

    _file(leftover, HOUR - SECOND)
    assert _removed(clean_up(store, RULE)) == set()
    assert leftover.exists()


def test_tensors_without_a_manifest_are_removed_with_their_folder_after_an_hour(
    store: StageStore, root: Path
) -> None:
    tensors = _file(root / A / TENSORS, HOUR - SECOND)
    clean_up(store, RULE)
    assert tensors.exists()
    _aged(tensors, HOUR + SECOND)
    clean_up(store, RULE)
    assert not tensors.parent.exists()


def test_a_leftover_write_probe_in_the_root_is_removed_after_an_hour(
    store: StageStore, root: Path
) -> None:
    old, young = _file(root / ".tmp-old", HOUR + SECOND), _file(root / ".tmp-young", HOUR - SECOND)
    clean_up(store, RULE)
    assert (old.exists(), young.exists()) == (False, True)


def test_ray_folders_without_writes_for_a_week_are_removed(store: StageStore, root: Path) -> None:
    old, young = (
        _file(root / "ray" / "teacher-1" / "x", 7 * DAY + SECOND),
        _file(root / "ray" / "student-1" / "x", 7 * DAY - SECOND),
    )
    assert _removed(clean_up(store, RULE)) == {(Kind.RAY, str(old.parent))}
    assert not old.parent.exists()
    assert young.exists()


def test_job_outputs_without_writes_for_the_retention_of_stages_are_removed(
    store: StageStore, root: Path
) -> None:
    old = _file(root / JOBS_FOLDER / "run-digits-1" / "summary.json", 30 * DAY + SECOND)
    tick = root / JOBS_FOLDER / "retrain-digits"
    kept = [_file(tick / "first.json", 300 * DAY), _file(tick / "last.json", 30 * DAY - SECOND)]
    assert _removed(clean_up(store, RULE)) == {(Kind.JOBS, str(old.parent))}
    assert not old.parent.exists()
    assert all(file.exists() for file in kept)


# --- foreign files and missing stores -------------------------------------------------------------


def test_foreign_files_are_never_touched(store: StageStore, root: Path) -> None:
    foreign = [
        _file(root / name, 4000 * DAY)
        for name in (
            "README",
            "notes/manifest.json",
            f"{A[:63]}/manifest.json",
            f"{A.upper()}/manifest.json",
            f"{A}x/{TENSORS}",
            TENSORS,
            "damaged-1.json",
            "progress/notes/manifest.json",
            f"{B}/notes.txt",
            C,
        )
    ]
    assert clean_up(store, RetentionRule(NOW, timedelta(0))) == []
    assert all(file.exists() for file in foreign)


def test_an_empty_store_and_a_missing_one_have_no_parts(store: StageStore, root: Path) -> None:
    assert not exists(store)
    assert clean_up(store, RULE) == []
    assert not root.exists()
    root.mkdir()
    assert exists(store)
    assert clean_up(store, RULE) == []


def test_a_store_that_cannot_be_read_is_a_retryable_error(store: StageStore, root: Path) -> None:
    root.touch()
    with pytest.raises(StorageUnavailableError, match="cannot be searched or cleaned up") as raised:
        clean_up(store, RULE)
    assert raised.value.exit_code == 3
    assert raised.value.where == str(root)


def test_any_filesystem_of_pyarrow_is_supported(store: StageStore, root: Path) -> None:
    _stored(store, A, 31 * DAY)
    _stored(store, B, DAY)
    _begun(store, C, 31 * DAY)
    store.filesystem = fs.SubTreeFileSystem(str(root.parent), fs.LocalFileSystem())
    store.root = root.name
    assert _removed(clean_up(store, RULE)) == {
        (Kind.STAGES, f"store/{A}"),
        (Kind.CHECKPOINTS, f"store/progress/{C}"),
    }
    assert [path.name for path in root.iterdir() if path.name != "progress"] == [B]


def test_a_part_of_unknown_age_is_kept() -> None:
    assert not RULE.is_unused(A, None)
    assert not RULE.is_older(None, timedelta(0))


# --- keys -----------------------------------------------------------------------------------------


def test_the_newest_keys_come_first_up_to_the_requested_number(
    store: StageStore, root: Path
) -> None:
    for key, age in ((A, 2 * DAY), (B, DAY), (C, 3 * DAY)):
        _stored(store, key, age)
    _file(root / ("d" * 64) / TENSORS, SECOND)
    _begun(store, "e" * 64, SECOND)
    assert newest_keys(store, 10) == [B, A, C]
    assert newest_keys(store, 2) == [B, A]
    assert newest_keys(StageStore(str(root / "nowhere")), 2) == []
