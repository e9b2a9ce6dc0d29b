"""An unknown or unsuitable timm network gives one clear error before training."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from orchestrator.config import Experiment
from orchestrator.config.backbones import TimmConfig
from orchestrator.config.overrides import with_values
from orchestrator.errors import ConfigError
from orchestrator.models import build_backbone
from orchestrator.models.backbones import weights_identity
from orchestrator.stages import check_backbones, prepare_work
from tests.timm_networks import DINO, SHAPE, VIT, built, saved


def test_a_missing_extra_is_reported_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ConfigError,
        match=(
            r"backbone\.kind: timm needs the extra `timm`, which is not installed; pip install"
            r" '\.\[timm\]' in the checkout"
        ),
    ):
        built(VIT)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "convnext_ato"},
            r"backbone\.name: timm has no network 'convnext_ato'; did you mean convnext_atto",
        ),
        ({"name": "???"}, r"timm has no network '\?\?\?'; see timm\.list_models\(\)"),
        (
            {"name": "test_vit.in1k"},
            r"timm has no weights 'test_vit\.in1k'; choose one of test_vit\.r160_in1k",
        ),
        ({"name": "vit_tiny_r_s16_p8_224.in1k"}, r"timm has no weights .+; choose one of .+augreg"),
        ({"name": "mixer_s16_224", "weights": True}, r"backbone\.weights: timm has no weights for"),
        (
            {"name": VIT, "input_size": 50},
            (
                r"backbone\.input_size: test_vit works on patches of 16x16 pixels, which do not"
                r" fill images of 50x50; choose 48 or 64"
            ),
        ),
        (
            {"name": DINO, "input_size": 8},
            r"patches of 14x14 pixels, which do not fill images of 8x8; choose 14$",
        ),
        (
            {"name": "maxvit_tiny_tf_224", "input_size": 16},
            (
                r"backbone\.input_size: timm cannot build maxvit_tiny_tf_224 for images of 16"
                r" pixels a side \(.+\); choose another size"
            ),
        ),
        (
            {"name": "gemma4_vit_167m_enc"},
            r"backbone\.name: timm's gemma4_vit_167m_enc returns no features of a whole image",
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_an_unknown_or_unsuitable_network_is_one_clear_error(
    values: Mapping[str, Any], message: str
) -> None:
    config = TimmConfig.model_validate(values)
    with pytest.raises(ConfigError, match=message) as caught:
        weights_identity(config), build_backbone(config, SHAPE)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"no weights", "cannot be loaded"),
        ("test_resnet", "cannot be loaded .+Missing key"),
    ],
    ids=["missing", "text", "another network's"],
)
def test_weights_that_do_not_fit_are_one_clear_error(
    tmp_path: Path, suffix: str, content: bytes | str | None, why: str
) -> None:
    file = tmp_path / f"weights.{suffix}"
    if isinstance(content, str):
        saved(tmp_path, content, suffix).rename(file)
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as caught:
        built(VIT, weights=str(file))
    assert caught.value.where == "backbone.weights"


def test_incomplete_weights_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "part.pt"
    state = timm.create_model(VIT).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if "blocks.1" not in name}, file)
    with pytest.raises(ConfigError, match=r"cannot be loaded .+Missing key"):
        built(VIT, weights=str(file))


def test_an_impossible_size_is_reported_even_if_there_are_weights(tmp_path: Path) -> None:
    file = saved(tmp_path, VIT)
    with pytest.raises(ConfigError, match=r"backbone\.input_size: timm cannot build"):
        built("maxvit_tiny_tf_224", weights=str(file), input_size=16)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            {"name": "densenet121", "input_size": 16},
            (
                r"teacher\.backbone: the backbone cannot work on images of 1x16x16: .+; choose"
                r" another backbone or another input_size"
            ),
        ),
        ({"name": VIT, "input_size": 50}, r"backbone\.input_size: .+; choose 48 or 64"),
    ],
)
def test_an_unsuitable_size_is_found_before_training(
    tiny_experiment: Experiment, backbone: dict[str, object], message: str
) -> None:
    experiment = with_values(tiny_experiment, {"teacher.backbone": {"kind": "timm", **backbone}})
    with pytest.raises(ConfigError, match=message):
        check_backbones(experiment, prepare_work(experiment).scenario)
