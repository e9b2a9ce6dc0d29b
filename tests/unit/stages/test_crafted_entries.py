"""Entries of the store with valid checksums and invalid content: treated as corrupt and computed
again; never a traceback, never a path outside the store.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from orchestrator.config import Experiment
from orchestrator.errors import StorageUnavailableError
from orchestrator.models.artifact import Artifact
from orchestrator.stages import StageRunner, Work, prepare_work
from orchestrator.stages.artifact_files import MANIFEST
from orchestrator.stages.checkpoints import StoreCheckpoints
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.store import StageStore
from tests.unit.stages.test_runner import CPU, small

KEY = "a" * 64


def craft(folder: Path, manifest: object, tensors: dict[str, Tensor] | None = None) -> None:
    """Write an entry as the store does, with the given manifest."""
    content = safetensors.torch.save(tensors or {})
    digest = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digest}.safetensors").write_bytes(content)
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / MANIFEST).write_text(text.replace("DIGEST", digest))


@pytest.mark.parametrize(
    "manifest",
    [
        "[" * 100_000,
        '{"sha256": "DIGEST", "values": ' + "[" * 100_000,
        "null",
        "7",
        "[]",
        {"sha256": "DIGEST"},
        {"sha256": "DIGEST", "values": None},
        {"sha256": "DIGEST", "values": [1]},
        {"sha256": None, "values": {}},
        {"sha256": 7, "values": {}},
        {"sha256": "../../secret", "values": {}},
        {"sha256": "/etc/passwd", "values": {}},
        {"sha256": "DIGEST/", "values": {}},
        {"sha256": "a\u0000", "values": {}},
    ],
)
def test_an_invalid_manifest_is_moved_aside(manifest: object, tmp_path: Path) -> None:
    store = StageStore(str(tmp_path / "store"))
    folder = tmp_path / "store" / KEY
    (tmp_path / "secret.safetensors").write_bytes(safetensors.torch.save({}))
    for load in (store.load, store.load_mapped):
        craft(folder, manifest)
        assert store.values_of(KEY) is None
        assert load(KEY) is None
        assert not (folder / MANIFEST).exists()


def computed(experiment: Experiment) -> Work:
    work = prepare_work(small(experiment))
    runner = StageRunner(work, CPU, lambda event: None)
    for stage in work.stages[:2]:
        runner.obtain(stage)
    return work


WRONG: dict[str, tuple[dict[str, Tensor], dict[str, Any]]] = {
    "empty": ({}, {}),
    "no reports": ({}, {"epochs": None}),
    "reports of another kind": ({}, {"epochs": [{"what": 1}]}),
    "wrong tensors": ({"predictions": torch.zeros(3), "x": torch.zeros(0)}, {"rows": {"no": 1}}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_entry_with_invalid_content_is_computed_again(
    wrong: str, tiny_experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    work = computed(tiny_experiment)
    teacher, student = work.stages[:2]
    before = {stage.key: work.evaluation_of(stage).rows for stage in (teacher, student)}
    for key in (student.key, evaluation_key(teacher, work.scenario)):
        tensors, values = WRONG[wrong]
        work.store.save(key, Artifact(tensors, values))
    runner = StageRunner(work, CPU, lambda event: None)
    for stage in (teacher, student):
        runner.obtain(stage)
    assert {stage.key: work.evaluation_of(stage).rows for stage in (teacher, student)} == before
    assert "is corrupt" in caplog.text


def test_a_model_that_cannot_be_built_is_computed_again_by_the_next_run(
    tiny_experiment: Experiment,
) -> None:
    """Later stages build on the model: it is moved aside, and the same command computes it
    again.
    """
    work = computed(tiny_experiment)
    teacher = work.stages[0]
    artifact = work.artifact_of(teacher)
    halves = {
        name: tensor[: len(tensor) // 2] for name, tensor in artifact.tensors.items() if tensor.ndim
    }
    for tensors in ({}, halves):
        work.store.save(teacher.key, Artifact(tensors, artifact.values))
        with pytest.raises(StorageUnavailableError, match="rerun the same command"):
            work.model_from(work.artifact_of(teacher), teacher, CPU)
        assert work.store.load(teacher.key) is None


@pytest.mark.parametrize(
    ("tensors", "values"),
    [
        ({}, {}),
        ({}, {"parameter_groups": [], "reports": None, "lr_scheduler": {}}),
        ({"optimizer.x.y": torch.zeros(1)}, {"parameter_groups": [], "reports": []}),
    ],
)
def test_a_checkpoint_with_invalid_content_is_not_used(
    tensors: dict[str, Tensor], values: dict[str, Any], tmp_path: Path
) -> None:
    store = StageStore(str(tmp_path))
    store.save_progress(KEY, "student", Artifact(tensors, values))
    assert StoreCheckpoints(store, KEY).restore("student") is None
