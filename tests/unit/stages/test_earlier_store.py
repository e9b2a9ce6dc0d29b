"""Artifacts of version 0.1 are readable, and their models predict as before. Stage keys have
changed since, because stages compute something else.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from orchestrator.config import load_experiment
from orchestrator.data.scenario import Split
from orchestrator.errors import ConfigError
from orchestrator.evaluation.classification import accuracies
from orchestrator.methods.dual_teacher.earlier_artifacts import as_stored_now
from orchestrator.models.network import predict
from orchestrator.stages import prepare_work
from orchestrator.stages.evaluation import Evaluation

KEPT = Path(__file__).parents[2] / "data" / "store_0_1"
EXPECTED = json.loads((KEPT / "expected.json").read_text())
KEYS = json.loads((KEPT / "keys.json").read_text())
"""Of every stage and its evaluation, as version 0.1 made them."""


@pytest.mark.parametrize("method", EXPECTED)
def test_models_of_version_0_1_predict_as_before(method: str, tmp_path: Path) -> None:
    shutil.copytree(KEPT / "stages", tmp_path / "store")
    overrides = [
        f"method.kind={method}",
        f"store.uri={tmp_path / 'store'}",
        f"data.cache_dir={tmp_path}",
    ]
    work = prepare_work(load_experiment(KEPT / "experiment.yaml", overrides))
    for stage in work.stages:
        key, evaluation_key = KEYS[method][stage.name]
        artifact, evaluated = work.store.load(key), work.store.load(evaluation_key)
        assert artifact is not None
        assert evaluated is not None
        evaluation = Evaluation.from_artifact(evaluated)
        gives_details = method == "dual_teacher" and stage.role == "teacher"
        assert set(evaluation.details) == ({"refinement_strength"} if gives_details else set())
        row = evaluation.rows[Split.TEST]
        assert row == EXPECTED[method][stage.role][stage.task.index]
        model = work.model_from(artifact, stage, torch.device("cpu"))
        images = work.scenario.images_of(Split.TEST, range(stage.task.num_seen_classes))
        predicted = predict(model.network, images.images).argmax(dim=1)
        tasks = [task.new_classes for task in work.scenario.tasks[: stage.task.index + 1]]
        again = accuracies(predicted, images.labels, tasks).by_task
        assert again == pytest.approx(row, abs=0.02), "more than rounding of another processor"


def test_a_refinement_of_version_0_1_is_rejected_with_a_clear_message() -> None:
    embedding = "network.embedding"
    tensors = {
        f"{embedding}.whitening": torch.eye(3),
        f"{embedding}.adapter.0.weight": torch.ones(2, 3),
        f"{embedding}.adapter.2.weight": torch.ones(3, 2),
    }
    with pytest.raises(ConfigError, match=r"stored by version 0\.1 with a refinement"):
        as_stored_now(tensors)
