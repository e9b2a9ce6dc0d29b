"""Networks of timm for tests, and files of weights written by timm itself."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file

from orchestrator.config.backbones import TimmConfig
from orchestrator.models import Backbone, build_backbone

SHAPE = (3, 32, 32)
CNN, VIT, DINO = "test_resnet", "test_vit", "vit_small_patch14_reg4_dinov2"


def built(name: str, **values: Any) -> Backbone:  # noqa: ANN401 - settings of the backbone
    return build_backbone(TimmConfig(name=name, **values), SHAPE).eval()


def saved(folder: Path, name: str, suffix: str = "safetensors", **values: Any) -> Path:  # noqa: ANN401 - arguments of timm
    """Return a file of weights written by timm itself."""
    torch.manual_seed(5)
    state = timm.create_model(name, **values).state_dict()
    file = folder / f"{name}.{suffix}"
    if suffix == "safetensors":
        save_file(state, file)
    else:
        torch.save({"epoch": 3, "state_dict": state}, file)  # as timm's training writes it
    return file
