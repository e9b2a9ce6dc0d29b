"""Networks of timm: convolutional ones, vision transformers, and DINOv2."""

from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from pydantic import ValidationError

from orchestrator.config.backbones import TimmConfig
from orchestrator.config.teacher import TeacherConfig
from orchestrator.errors import ConfigError
from orchestrator.models.backbones import backbone_identity, weights_identity
from tests.timm_networks import CNN, DINO, SHAPE, VIT, built, saved

HALVES = ((0.5,) * 3, (0.5,) * 3)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def images(num: int = 2) -> torch.Tensor:
    return torch.randint(
        0, 256, (num, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize(
    ("name", "input_size", "own_size", "num_features", "statistics"),
    [
        (CNN, None, 160, 96, HALVES),
        (CNN, 50, 160, 96, HALVES),
        (VIT, None, 160, 64, HALVES),
        (VIT, 48, 160, 64, HALVES),
        (DINO, 28, 518, 384, IMAGENET),
    ],
)
def test_a_network_works_at_its_own_image_size_and_at_another(
    name: str,
    input_size: int | None,
    own_size: int,
    num_features: int,
    statistics: tuple[tuple[float, ...], tuple[float, ...]],
) -> None:
    backbone = built(name, input_size=input_size)
    assert backbone.input_size == (input_size or own_size)
    assert (backbone.num_features, backbone.num_channels) == (num_features, 3)
    mean, deviation = (
        tuple(it.flatten().tolist()) for it in (backbone.pixel_mean, backbone.pixel_deviation)
    )
    assert mean == pytest.approx(statistics[0])
    assert deviation == pytest.approx(statistics[1])
    features = backbone(images())
    assert features.shape == (2, num_features)
    assert features.isfinite().all()
    assert not torch.allclose(*features)
    grey = images()[:, :1]
    torch.testing.assert_close(backbone(grey), backbone(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("name", [CNN, VIT])
def test_features_equal_timms_on_images_prepared_by_timm(name: str, tmp_path: Path) -> None:
    file = saved(tmp_path, name)
    reference: Any = timm.create_model(name, checkpoint_path=str(file)).eval()
    side = reference.pretrained_cfg["input_size"][-1]
    whole = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    pixels = (whole / 255 - 0.5) / 0.5
    expected = reference.forward_head(reference.forward_features(pixels), pre_logits=True)
    torch.testing.assert_close(built(name, weights=str(file))(whole), expected)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("name", [CNN, VIT])
@pytest.mark.parametrize("num_classes", [None, 7, 0])
def test_a_file_of_weights_is_loaded_whatever_the_size_of_its_classifier(
    name: str, suffix: str, num_classes: int | None, tmp_path: Path
) -> None:
    file = saved(tmp_path, name, suffix, num_classes=num_classes)
    backbone = built(name, weights=str(file))
    torch.manual_seed(5)  # the classifier is created last, so all other weights equal the file's
    expected = timm.create_model(name, num_classes=num_classes).state_dict()
    state = backbone.body.state_dict()
    assert state.keys() == built(name).body.state_dict().keys()
    assert state.keys() <= expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in state.items())


def test_the_positions_of_a_transformer_are_resampled_for_another_size(tmp_path: Path) -> None:
    file = saved(tmp_path, VIT)
    backbone = built(VIT, weights=str(file), input_size=96)
    whole, small = (it.body.state_dict() for it in (built(VIT, weights=str(file)), backbone))
    assert (whole["pos_embed"].shape[1], small["pos_embed"].shape[1]) == (101, 37)  # 10², 6² and 1
    assert torch.equal(small["pos_embed"][:, 0], whole["pos_embed"][:, 0])
    others = {name: tensor for name, tensor in small.items() if name != "pos_embed"}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in others.items())
    assert backbone(images()).shape == (2, 64)


def test_dinov2_weights_in_their_published_form_are_converted(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = dict(timm.create_model(DINO, img_size=28).state_dict())
    tokens = {"mask_token": torch.zeros(1, 384), "register_tokens": state.pop("reg_token")}
    positions = state["pos_embed"]  # timm has no class-token position with registers
    published = torch.cat([torch.zeros(1, 1, 384), positions], dim=1)
    file = tmp_path / "dinov2.pth"
    torch.save({**state, **tokens, "pos_embed": published}, file)
    loaded = built(DINO, weights=str(file), input_size=28).body.state_dict()
    assert torch.equal(loaded["reg_token"], tokens["register_tokens"])
    assert torch.equal(loaded["pos_embed"], positions)


def test_weights_are_identified_by_the_digest_of_their_file_and_by_timms_full_name(
    tmp_path: Path,
) -> None:
    file = saved(tmp_path, CNN)
    there = tmp_path / "moved" / file.name
    there.parent.mkdir()
    there.write_bytes(file.read_bytes())
    first, second = (
        backbone_identity(TimmConfig(name=CNN, weights=str(each))) for each in (file, there)
    )
    assert first == second
    assert len(first["weights"]) == 64
    there.write_bytes(b"other weights")
    assert backbone_identity(TimmConfig(name=CNN, weights=str(there))) != second
    assert weights_identity(TimmConfig(name=CNN)) == ""
    full = "test_resnet.r160_in1k"
    for values in ({"name": CNN, "weights": True}, {"name": CNN, "weights": "r160_in1k"}):
        assert weights_identity(TimmConfig.model_validate(values)) == full


def test_the_tag_of_the_weights_remains_in_the_name() -> None:
    config = TimmConfig(name="vit_small_patch14_dinov2", weights="lvd142m")
    assert (config.name, config.weights) == ("vit_small_patch14_dinov2.lvd142m", True)
    assert TimmConfig(name=config.name, weights="lvd142m") == config
    with pytest.raises(ValidationError, match="names other weights; give weights: true"):
        TimmConfig(name="vit_small_patch14_dinov2.lvd142m", weights="in1k")


def test_a_pre_trained_extractor_may_be_a_network_of_timm(tmp_path: Path) -> None:
    config = TimmConfig(name=VIT, weights=str(saved(tmp_path, VIT)))
    teacher = {"backbone": config.model_dump(), "extractor": {"kind": "pretrained"}}
    assert TeacherConfig.model_validate(teacher).backbone == config
    with pytest.raises(ValidationError, match="timm has no pre-trained weights"):
        TeacherConfig.model_validate({**teacher, "backbone": {"kind": "timm", "name": VIT}})


# --- weights from the hub -------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the hub's cache, without a network to download from."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("weights", [True, "r160_in1k"])
def test_weights_by_name_come_from_the_hubs_cache(
    hub: Path, tmp_path: Path, weights: str | bool
) -> None:
    file = saved(tmp_path, VIT)
    downloaded = hub / "models--timm--test_vit.r160_in1k"
    commit = 40 * "a"
    (downloaded / "refs").mkdir(parents=True)
    (downloaded / "refs" / "main").write_text(commit)
    (downloaded / "snapshots" / commit).mkdir(parents=True)
    (downloaded / "snapshots" / commit / "model.safetensors").write_bytes(file.read_bytes())
    named, from_file = built(VIT, weights=weights), built(VIT, weights=str(file))
    torch.testing.assert_close(named(images()), from_file(images()), rtol=0, atol=0)


def test_missing_weights_without_a_network_are_reported(hub: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"backbone\.weights: the weights 'test_vit\.r160_in1k' of test_vit cannot be loaded"
            r" \(.+\); give a file of weights in backbone\.weights"
        ),
    ):
        built(VIT, weights=True)
