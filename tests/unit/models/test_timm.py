"""Networks of timm: convolutional ones, vision transformers, and one as DINOv2."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from orchestrator.config import Experiment
from orchestrator.config.backbones import TimmConfig
from orchestrator.config.overrides import with_values
from orchestrator.config.teacher import TeacherConfig
from orchestrator.errors import ConfigError
from orchestrator.models import Backbone, build_backbone
from orchestrator.models.backbones import backbone_identity, weights_identity
from orchestrator.stages import check_backbones, prepare_work

SHAPE = (3, 32, 32)
CNN, VIT, DINO = "test_resnet", "test_vit", "vit_small_patch14_reg4_dinov2"
HALVES = ((0.5,) * 3, (0.5,) * 3)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def images(num: int = 2) -> torch.Tensor:
    return torch.randint(
        0, 256, (num, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def built(name: str, **values: Any) -> Backbone:  # noqa: ANN401 - settings of the backbone
    return build_backbone(TimmConfig(name=name, **values), SHAPE).eval()


def saved(folder: Path, name: str, suffix: str = "safetensors", **values: Any) -> Path:  # noqa: ANN401 - arguments of timm
    """A file of weights that timm itself has made."""
    torch.manual_seed(5)
    state = timm.create_model(name, **values).state_dict()
    file = folder / f"{name}.{suffix}"
    if suffix == "safetensors":
        save_file(state, file)
    else:
        torch.save({"epoch": 3, "state_dict": state}, file)  # as timm's own training writes it
    return file


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
def test_a_network_gives_its_features_at_its_own_size_and_at_another(
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
def test_features_are_what_timm_gives_for_images_as_it_prepares_them(
    name: str, tmp_path: Path
) -> None:
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
def test_a_file_of_weights_is_loaded_whatever_classes_it_tells_apart(
    name: str, suffix: str, num_classes: int | None, tmp_path: Path
) -> None:
    file = saved(tmp_path, name, suffix, num_classes=num_classes)
    backbone = built(name, weights=str(file))
    torch.manual_seed(5)  # the classifier comes last, so all else is as in the file
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


def test_weights_as_dinov2_was_published_are_converted(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = dict(timm.create_model(DINO, img_size=28).state_dict())
    tokens = {"mask_token": torch.zeros(1, 384), "register_tokens": state.pop("reg_token")}
    positions = state["pos_embed"]  # timm's has none for the class token where registers follow it
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
    assert weights_identity(TimmConfig(name=CNN)) == ""
    full = "test_resnet.r160_in1k"
    for values in ({"name": CNN, "weights": True}, {"name": CNN, "weights": "r160_in1k"}):
        assert weights_identity(TimmConfig.model_validate(values)) == full


def test_the_tag_of_the_weights_is_kept_in_the_name() -> None:
    config = TimmConfig(name="vit_small_patch14_dinov2", weights="lvd142m")
    assert (config.name, config.weights) == ("vit_small_patch14_dinov2.lvd142m", True)
    assert TimmConfig(name=config.name, weights="lvd142m") == config
    with pytest.raises(ValidationError, match="names others; give weights: true"):
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
    """The cache of the hub, without a network behind it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("weights", [True, "r160_in1k"])
def test_weights_by_name_are_those_that_the_hub_has_under_it(
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


def test_weights_that_need_a_network_where_there_is_none_are_said(hub: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"backbone\.weights: the weights 'test_vit\.r160_in1k' of test_vit cannot be loaded"
            r" \(.+\); give a file of weights in backbone\.weights"
        ),
    ):
        built(VIT, weights=True)


# --- what cannot be used --------------------------------------------------------------------------


def test_a_missing_extra_is_said_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ConfigError,
        match=(
            r"backbone\.kind: timm needs the extra `timm`, which is not installed; pip install"
            r" 'continual-orchestrator\[timm\]'"
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
            r"backbone\.name: timm's gemma4_vit_167m_enc gives no features of a whole image",
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_what_timm_does_not_have_or_cannot_do_is_one_clear_error(
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


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "part.pt"
    state = timm.create_model(VIT).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if "blocks.1" not in name}, file)
    with pytest.raises(ConfigError, match=r"cannot be loaded .+Missing key"):
        built(VIT, weights=str(file))


def test_a_size_that_is_wrong_is_what_is_said_also_where_there_are_weights(tmp_path: Path) -> None:
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
                r" another backbone or another input_size of it"
            ),
        ),
        ({"name": VIT, "input_size": 50}, r"backbone\.input_size: .+; choose 48 or 64"),
    ],
)
def test_a_size_that_does_not_fit_is_found_before_anything_is_trained(
    tiny_experiment: Experiment, backbone: dict[str, object], message: str
) -> None:
    experiment = with_values(tiny_experiment, {"teacher.backbone": {"kind": "timm", **backbone}})
    with pytest.raises(ConfigError, match=message):
        check_backbones(experiment, prepare_work(experiment).scenario)
