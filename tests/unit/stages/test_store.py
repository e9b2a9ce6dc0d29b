"""The stage store: atomic, checksummed, and no pickle."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.stages.store import Artifact, StageStore

KEY = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(str(tmp_path / "store"))


def _artifact() -> Artifact:
    tensors = {"weights": torch.arange(6.0).view(2, 3).T, "images": torch.zeros(0, 1, 8, 8, dtype=torch.uint8), "count": torch.tensor(3)}
    return Artifact(tensors, {"epochs": [{"loss": 0.5}]})


def test_what_was_saved_is_loaded_bit_for_bit(store: StageStore) -> None:
    store.save(KEY, _artifact())
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded.values == {"epochs": [{"loss": 0.5}]}
    for name, tensor in _artifact().tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_an_unknown_key_loads_nothing(store: StageStore) -> None:
    assert store.load(KEY) is None


def test_an_address_with_scheme_and_a_path_reach_the_same_store(store: StageStore, tmp_path: Path) -> None:
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
    assert "damaged" in caplog.text
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


def test_an_address_of_no_known_kind_is_the_users_error() -> None:
    with pytest.raises(UserInputError, match=r"store\.uri"):
        StageStore("nosuch://bucket/folder")
