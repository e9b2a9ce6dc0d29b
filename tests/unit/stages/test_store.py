"""The stage store: atomic, checksummed, and no pickle."""

from __future__ import annotations

import errno
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.models.artifact import Artifact
from orchestrator.stages.artifact_files import ArtifactFiles
from orchestrator.stages.store import StageStore

KEY = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(str(tmp_path / "store"))


def _artifact() -> Artifact:
    tensors = {
        "weights": torch.arange(6.0).view(2, 3).T,
        "images": torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
        "count": torch.tensor(3),
    }
    return Artifact(tensors, {"epochs": [{"loss": 0.5}]})


def test_a_saved_artifact_is_loaded_bit_for_bit(store: StageStore) -> None:
    store.save(KEY, _artifact())
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded.values == {"epochs": [{"loss": 0.5}]}
    assert [*loaded.tensors] == sorted(_artifact().tensors)
    for name, tensor in _artifact().tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_an_unknown_key_loads_nothing(store: StageStore) -> None:
    assert store.load(KEY) is None


def test_a_path_and_its_file_address_are_the_same_store(store: StageStore, tmp_path: Path) -> None:
    store.save(KEY, _artifact())
    assert StageStore(f"file://{tmp_path / 'store'}").load(KEY) is not None


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_a_damaged_artifact_is_moved_aside_with_a_warning(
    store: StageStore, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(KEY, _artifact())
    folder = tmp_path / "store" / KEY
    tensors = next(folder.glob("*.safetensors"))
    content = bytearray(tensors.read_bytes())
    match damage:
        case "flip":
            content[-1] ^= 1
            tensors.write_bytes(content)
        case "truncate":
            tensors.write_bytes(content[: len(content) // 2])
        case "remove":
            tensors.unlink()
        case _:
            (folder / "manifest.json").write_text('{"attempt": ')
    with caplog.at_level(logging.WARNING):
        assert store.load(KEY) is None
    assert "corrupt" in caplog.text
    assert list(folder.glob("damaged-*.json"))
    store.save(KEY, _artifact())
    assert store.load(KEY) is not None


def test_a_crash_before_the_manifest_leaves_no_artifact(store: StageStore, tmp_path: Path) -> None:
    store.save(KEY, _artifact())
    (tmp_path / "store" / KEY / "manifest.json").unlink()
    assert store.load(KEY) is None


def test_the_manifest_holds_plain_json(store: StageStore, tmp_path: Path) -> None:
    store.save(KEY, _artifact())
    manifest = json.loads((tmp_path / "store" / KEY / "manifest.json").read_text())
    assert set(manifest) == {"sha256", "values"}


def test_a_store_that_cannot_be_written_is_a_retryable_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailableError, match="cannot be written") as raised:
        StageStore(str(tmp_path / "file" / "store")).check_writable()
    assert raised.value.exit_code == 3


def test_an_address_of_an_unknown_kind_is_a_user_error() -> None:
    with pytest.raises(UserInputError, match=r"store\.uri"):
        StageStore("nosuch://bucket/folder")


def test_plain_values_are_read_without_the_tensors(store: StageStore, tmp_path: Path) -> None:
    assert store.values_of(KEY) is None
    store.save(KEY, _artifact())
    next((tmp_path / "store" / KEY).glob("*.safetensors")).unlink()
    assert store.values_of(KEY) == {"epochs": [{"loss": 0.5}]}
    (tmp_path / "store" / KEY / "manifest.json").write_text("[]")
    assert store.values_of(KEY) is None


def test_progress_is_the_newest_of_each_phase_until_it_is_cleared(store: StageStore) -> None:
    assert not store.has_progress(KEY)
    for number in (1, 2):
        store.save_progress(
            KEY, "extractor", Artifact({"weights": torch.tensor(number)}, {"epoch": number})
        )
    store.save_progress(KEY, "embedding", _artifact())
    assert store.has_progress(KEY)
    newest = store.load_progress(KEY, "extractor")
    assert newest is not None
    assert newest.values == {"epoch": 2}
    assert newest.tensors["weights"] == 2
    assert store.load(KEY) is None
    store.clear_progress(KEY)
    store.clear_progress(KEY)
    assert not store.has_progress(KEY)
    assert store.load_progress(KEY, "extractor") is None


def test_clearing_progress_keeps_other_stages_progress_and_finished_artifacts(
    store: StageStore,
) -> None:
    other = "b" * 64
    store.save(KEY, _artifact())
    for key in (KEY, other):
        store.save_progress(key, "extractor", _artifact())
    store.clear_progress(KEY)
    assert store.load(KEY) is not None
    assert store.has_progress(other)


@pytest.mark.parametrize("attempt", range(5))
def test_two_writers_of_one_key_leave_exactly_one_complete_artifact(
    store: StageStore, tmp_path: Path, attempt: int
) -> None:
    start = Barrier(2)
    artifact = Artifact({"weights": torch.arange(200_000.0)}, {"epochs": []})

    def write() -> None:
        start.wait()
        StageStore(store.uri).save(KEY, artifact)

    with ThreadPoolExecutor(2) as threads:
        for writer in [threads.submit(write) for _ in range(2)]:
            writer.result()
    loaded = store.load(KEY)
    assert loaded is not None
    assert torch.equal(loaded.tensors["weights"], artifact.tensors["weights"])
    names = {file.name for file in (tmp_path / "store" / KEY).iterdir()}
    assert len(names) == 2
    assert not any(name.startswith(".tmp-") for name in names)


def test_a_writer_rewrites_a_temporary_file_that_another_writer_removed(
    store: StageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ArtifactFiles.write
    swept: list[str] = []

    def write_and_lose(self: ArtifactFiles, path: str, content: bytes) -> None:
        write(self, path, content)
        if not swept:
            swept.append(path)
            StageStore(self.uri).save(KEY, _artifact())

    monkeypatch.setattr(ArtifactFiles, "write", write_and_lose)
    store.save(KEY, _artifact())
    assert not Path(swept[0]).exists()
    assert store.load(KEY) is not None
    assert len(list((tmp_path / "store" / KEY).iterdir())) == 2


def test_leftovers_of_an_interrupted_writer_are_removed_by_the_next_one(
    store: StageStore, tmp_path: Path
) -> None:
    folder = tmp_path / "store" / KEY
    folder.mkdir(parents=True)
    (folder / ".tmp-0123-manifest.json").write_text("{")
    store.save(KEY, _artifact())
    assert sorted(file.suffix for file in folder.iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize("full_from", [1, 2], ids=["tensors", "manifest"])
@pytest.mark.parametrize("kind", ["finished", "progress"])
def test_a_full_disk_is_a_retryable_error_and_leaves_no_partial_file(
    store: StageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_from: int, kind: str
) -> None:
    write = ArtifactFiles.write
    written: list[str] = []

    def write_half(self: ArtifactFiles, path: str, content: bytes) -> None:
        written.append(path)
        if len(written) < full_from:
            write(self, path, content)
            return
        write(self, path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def save() -> None:
        if kind == "finished":
            store.save(KEY, _artifact())
        else:
            store.save_progress(KEY, "extractor", _artifact())

    with monkeypatch.context() as patch:
        patch.setattr(ArtifactFiles, "write", write_half)
        with pytest.raises(StorageUnavailableError, match="No space left on device") as raised:
            save()
    assert raised.value.is_retryable
    assert len(written) == full_from
    assert [file.suffix for file in (tmp_path / "store").rglob("*") if file.is_file()] == [
        ".safetensors"
    ] * (full_from - 1)
    assert store.load(KEY) is None
    assert store.load_progress(KEY, "extractor") is None
    save()
    assert (store.load(KEY) or store.load_progress(KEY, "extractor")) is not None


def test_checking_that_a_store_is_writable_leaves_no_file(
    store: StageStore, tmp_path: Path
) -> None:
    store.check_writable()
    assert list((tmp_path / "store").iterdir()) == []
