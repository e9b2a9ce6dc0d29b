import time
from pathlib import Path
from unittest.mock import patch

import torch

from orchestrator.models.artifact import Artifact
from orchestrator.stages.shared_artifacts import SharedInStore
from orchestrator.stages.store import StageStore


def artifact() -> Artifact:
    return Artifact({"values": torch.arange(3)}, {"explained": 1})


def not_again() -> Artifact:
    raise AssertionError("computed again")


def test_equal_content_is_computed_once(tmp_path: Path) -> None:
    content = {"features by": "a", "images": "b"}
    SharedInStore(StageStore(str(tmp_path))).obtain(content, artifact)
    found = SharedInStore(StageStore(str(tmp_path))).obtain(content, not_again)

    assert torch.equal(found.tensors["values"], torch.arange(3))
    assert found.values["explained"] == 1


def test_different_content_has_a_different_key(tmp_path: Path) -> None:
    shared = SharedInStore(StageStore(str(tmp_path)))
    shared.obtain({"images": "a"}, artifact)
    found = shared.obtain({"images": "b"}, lambda: Artifact({"values": torch.zeros(1)}))

    assert torch.equal(found.tensors["values"], torch.zeros(1))


def test_an_artifact_notes_how_long_it_took_without_those_that_it_needed(tmp_path: Path) -> None:
    store, clock = StageStore(str(tmp_path)), [0.0]
    shared = SharedInStore(store)

    def answers() -> Artifact:
        clock[0] += 5.0
        return artifact()

    def layers() -> Artifact:
        clock[0] += 2.0
        return shared.obtain({"answers": "a"}, answers)

    with patch.object(time, "perf_counter", lambda: clock[0]):
        shared.obtain({"layers": "b"}, layers)
        shared.obtain({"answers": "a"}, not_again)
    inner, outer = shared.take_used()[::-1]
    of = {key: (store.values_of(key) or {})["seconds"] for key in (inner, outer)}
    assert of == {inner: 5.0, outer: 2.0}
    assert (shared.take_seconds(), shared.take_seconds()) == (7.0, 0.0)
