"""A store that version 0.1 filled is read: nothing is computed again, and models answer as then."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from orchestrator.config import load_experiment
from orchestrator.data.scenario import Split
from orchestrator.evaluation.classification import accuracies
from orchestrator.models.network import predict
from orchestrator.stages import prepare_work

KEPT = Path(__file__).parents[2] / "data" / "store_0_1"
EXPECTED = json.loads((KEPT / "expected.json").read_text())


@pytest.mark.parametrize("method", EXPECTED)
def test_stages_of_version_0_1_are_found_and_their_models_predict_as_then(
    method: str, tmp_path: Path
) -> None:
    shutil.copytree(KEPT / "stages", tmp_path / "store")
    overrides = [
        f"method.kind={method}",
        f"store.uri={tmp_path / 'store'}",
        f"data.cache_dir={tmp_path}",
    ]
    work = prepare_work(load_experiment(KEPT / "experiment.yaml", overrides))
    for stage in work.stages:
        assert work.is_stored(stage), stage.name
        evaluation = work.evaluation_of(stage)
        gives_details = method == "dual_teacher" and stage.role == "teacher"
        assert set(evaluation.details) == ({"refinement_strength"} if gives_details else set())
        row = evaluation.rows[Split.TEST]
        assert row == EXPECTED[method][stage.role][stage.task.index]
        model = work.model_from(work.artifact_of(stage), stage, torch.device("cpu"))
        images = work.scenario.images_of(Split.TEST, range(stage.task.num_seen_classes))
        predicted = predict(model.network, images.images).argmax(dim=1)
        tasks = [task.new_classes for task in work.scenario.tasks[: stage.task.index + 1]]
        again = accuracies(predicted, images.labels, tasks).by_task
        assert again == pytest.approx(row, abs=0.02), "more than rounding of another processor"
