"""Costs noted next to the artifacts of a remote store, and listings of such a store. A folder that
pyarrow does not recognise as a local disk represents object storage.
"""

from pathlib import Path

import pytest
import torch
from pyarrow import fs

from orchestrator.config import load_experiment
from orchestrator.models.artifact import Artifact
from orchestrator.pipelines.planning.cost import measurements
from orchestrator.stages.cost_notes import MAX_NOTES, note_cost, noted_costs
from orchestrator.stages.listing import Listing
from orchestrator.stages.store import StageStore

A, B = "a" * 64, "b" * 64
DIGITS = Path(__file__).parents[3] / "experiments" / "digits.yaml"


def _values(seconds: float) -> dict[str, object]:
    return {
        "stage": "teacher[0]",
        "seconds": seconds + 1,
        "seconds_without_features": seconds,
        "num_train_workers": 1,
        "num_images": 10,
        "multiply_adds": 5,
        "epochs": [{"loss": 1.0}, {"loss": 0.5}],
        "shared": [A],
    }


@pytest.fixture
def remote(tmp_path: Path) -> StageStore:
    store = StageStore(str(tmp_path / "store"))
    store.filesystem = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    store.root = "store"
    store._files.filesystem = store.filesystem
    store.save(A, Artifact({"weights": torch.zeros(3)}, {}))
    return store


def test_a_remote_store_keeps_the_newest_costs_and_estimates_stages_from_them(
    remote: StageStore,
) -> None:
    assert noted_costs(remote) is None
    for number in range(MAX_NOTES + 2):
        note_cost(remote, _values(float(number)))
    backbone = load_experiment(DIGITS).teacher.backbone
    found = measurements(remote, backbone)
    seconds = [it.worker_seconds for it in found]
    assert seconds == [float(number) for number in range(MAX_NOTES + 1, 1, -1)]
    assert {it.num_image_passes for it in found} == {20}


def test_a_local_store_keeps_its_costs_only_in_its_manifests(tmp_path: Path) -> None:
    store = StageStore(str(tmp_path))
    note_cost(store, _values(1.0))
    assert noted_costs(store) is None
    assert not list(tmp_path.iterdir())


def test_a_damaged_note_is_ignored_and_replaced(remote: StageStore) -> None:
    remote.write_file("costs.json", b"{torn")
    assert noted_costs(remote) is None
    note_cost(remote, _values(1.0))
    assert len(noted_costs(remote) or []) == 1


def test_only_keys_with_an_artifact_are_stored(remote: StageStore) -> None:
    assert remote.stored([A, B, A]) == {A}


def test_a_listing_matches_the_folders_and_detects_later_changes(
    remote: StageStore, tmp_path: Path
) -> None:
    remote.save_progress(B, "student", Artifact({"weights": torch.zeros(3)}, {}))
    listing, local = Listing(remote), Listing(StageStore(str(tmp_path / "store")))
    for folder in ("", f"/{A}", "/progress", "/nowhere"):
        own = [info.path for info in listing.inside(f"store{folder}")]
        known = [info.path for info in local.inside(f"{tmp_path}/store{folder}")]
        assert [f"{tmp_path}/{path}" for path in own] == known
    assert not listing.is_outdated(f"store/{A}")
    (tmp_path / "store" / A / "new").touch()
    assert listing.is_outdated(f"store/{A}")
