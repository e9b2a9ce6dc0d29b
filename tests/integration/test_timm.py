"""A run whose teacher is a pre-trained transformer of timm, and whose student is fine-tuned from
another network of timm.
"""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.config.roles import ROLES
from orchestrator.models.network import predict
from orchestrator.pipelines.run.run import run

pytestmark = pytest.mark.slow


def test_a_run_trains_networks_of_timm_and_a_second_run_finds_all_its_stages(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    files = {role: tmp_path / f"{role}.safetensors" for role in ROLES}
    save_file(timm.create_model("test_vit").state_dict(), files["teacher"])
    save_file(timm.create_model("test_resnet").state_dict(), files["student"])
    backbone = {"kind": "timm", "input_size": 32}
    experiment = with_values(
        tiny_experiment,
        {
            "store.uri": str(tmp_path / "store"),
            "scenario.class_order": [0, 1, 2, 3],
            "teacher.backbone": {
                **backbone,
                "name": "test_vit",
                "weights": str(files["teacher"]),
            },
            "teacher.extractor.kind": "pretrained",
            "student.backbone": {
                **backbone,
                "name": "test_resnet",
                "weights": str(files["student"]),
            },
        },
    )
    first = run(experiment, tmp_path / "first")
    second = run(experiment, tmp_path / "second")
    assert [stage["cached"] for stage in second.summary["stages"]] == 4 * [True]
    images = torch.randint(0, 256, (4, *first.work.scenario.shape), dtype=torch.uint8)
    for role in ROLES:
        for key in ("accuracy_matrix", "num_parameters"):
            assert second.summary[role][key] == first.summary[role][key]
        logits = [predict(it.models[role].network, images) for it in (first, second)]
        assert torch.equal(*logits)
