from pathlib import Path

import torch

from orchestrator.models.artifact import Artifact
from orchestrator.stages.shared_artifacts import SharedInStore
from orchestrator.stages.store import StageStore


def artifact() -> Artifact:
    return Artifact({"values": torch.arange(3)}, {"seconds": 1})


def not_again() -> Artifact:
    raise AssertionError("computed again")


def test_equal_content_is_computed_once(tmp_path: Path) -> None:
    content = {"features by": "a", "images": "b"}
    SharedInStore(StageStore(str(tmp_path))).obtain(content, artifact)
    found = SharedInStore(StageStore(str(tmp_path))).obtain(content, not_again)

    assert torch.equal(found.tensors["values"], torch.arange(3))
    assert found.values["seconds"] == 1


def test_different_content_has_a_different_key(tmp_path: Path) -> None:
    shared = SharedInStore(StageStore(str(tmp_path)))
    shared.obtain({"images": "a"}, artifact)
    found = shared.obtain({"images": "b"}, lambda: Artifact({"values": torch.zeros(1)}))

    assert torch.equal(found.tensors["values"], torch.zeros(1))
