import copy

import pytest
import torch
from torch import nn

from orchestrator.config.backbones import (
    BackboneConfig,
    EfficientNetLite0Config,
    InheritedLayersConfig,
    ResNet20Config,
    SmallCnnConfig,
    TimmConfig,
    TorchvisionConfig,
    without_pretrained_weights,
)
from orchestrator.config.features import StageFeaturesConfig
from orchestrator.errors import ConfigError
from orchestrator.models import Backbone, build_backbone
from orchestrator.models.backbones.stages import StageFeatures, Stages
from orchestrator.training.random_streams import seeded_initialisation

SHAPE = (3, 32, 32)
STAGES = StageFeaturesConfig()
CONFIGS: dict[str, BackboneConfig] = {
    "small_cnn": SmallCnnConfig(features=STAGES),
    "resnet20": ResNet20Config(features=STAGES),
    "efficientnet_lite0": EfficientNetLite0Config(weights=None, input_size=32, features=STAGES),
    "torchvision": TorchvisionConfig(name="resnet18", features=STAGES),
    "timm": TimmConfig(name="resnet18", input_size=32, features=STAGES),
}


def built(config: BackboneConfig | InheritedLayersConfig) -> Backbone:
    with seeded_initialisation(0, "stages"):
        return build_backbone(config, SHAPE).eval()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, *SHAPE), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_stage_features_end_with_the_final_features(
    config: BackboneConfig, images: torch.Tensor
) -> None:
    whole = built(config.model_copy(update={"features": type(SmallCnnConfig().features)()}))
    staged = built(config)
    features = staged(images)
    num_final = staged.groups[-1].size

    assert features.shape[1] == staged.num_features == sum(g.size for g in staged.groups)
    assert staged.groups[-1].name == "final"
    assert len({group.name for group in staged.groups}) == len(staged.groups)
    # the final features of resnet20 join several stages; the last stage comes last in both
    torch.testing.assert_close(features[:, -64:], whole(images)[:, -64:])
    assert num_final <= whole.num_features


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_a_cut_backbone_reports_the_first_features_of_the_whole_one(
    config: BackboneConfig, images: torch.Tensor
) -> None:
    staged = built(config)
    cut = staged.until("stage2").eval()

    assert cut.groups == staged.groups[: len(cut.groups)]
    assert cut.groups[-1].name.startswith("stage2.")
    torch.testing.assert_close(
        cut(images), staged(images)[:, : cut.num_features], rtol=1e-4, atol=1e-5
    )
    assert len(cut.state_dict()) < len(staged.state_dict())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_a_cut_backbone_is_rebuilt_from_its_configuration_and_state(
    config: BackboneConfig, images: torch.Tensor
) -> None:
    cut = built(config).until("stage2").eval()
    rebuilt = built(
        InheritedLayersConfig(until="stage2", base=without_pretrained_weights(config))  # type: ignore[arg-type] # no inherited one
    )
    rebuilt.load_state_dict(cut.state_dict())

    assert torch.equal(rebuilt(images), cut(images))


@torch.no_grad()
def test_cutting_does_not_change_the_whole_backbone(images: torch.Tensor) -> None:
    staged = built(CONFIGS["efficientnet_lite0"])
    before = staged(images)
    cut = staged.until("stage1")
    for parameter in cut.parameters():
        parameter.zero_()

    assert torch.equal(staged(images), before)


def test_a_cut_backbone_has_no_batch_normalisation_left() -> None:
    cut = built(CONFIGS["efficientnet_lite0"]).until("stage3")

    assert not any(isinstance(module, nn.BatchNorm2d) for module in cut.modules())


@torch.no_grad()
def test_folding_applies_a_normalisations_own_statistics(images: torch.Tensor) -> None:
    staged = built(CONFIGS["efficientnet_lite0"])
    generator = torch.Generator().manual_seed(1)
    for module in staged.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in ("running_mean", "running_var", "weight", "bias"):
                values = getattr(module, name)
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    cut = staged.until("stage2").eval()

    torch.testing.assert_close(
        cut(images), staged(images)[:, : cut.num_features], rtol=1e-3, atol=1e-4
    )


def test_an_unknown_stage_is_reported_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no stage9: it has stage1, stage2, stage3, stage4, stage5;"
    ):
        built(SmallCnnConfig()).until("stage9")


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t"])
def test_a_network_without_feature_maps_has_no_stages(name: str) -> None:
    with pytest.raises(ConfigError, match="has no stages"):
        build_backbone(TorchvisionConfig(name=name, features=STAGES), (3, 224, 224))


def test_stage_statistics_are_those_of_its_feature_map() -> None:
    values = torch.arange(18.0).view(1, 2, 3, 3)
    features = StageFeatures(Stages([nn.Identity()], [2], None), 0, pooled=(1,))
    found = features(values)[0]

    assert [group.size for group in features.groups] == [2, 2, 8]
    torch.testing.assert_close(found[:2], torch.tensor([4.0, 13.0]))
    deviation = torch.arange(9.0).std(correction=0)
    torch.testing.assert_close(found[2:4], torch.stack([deviation, deviation]))
    # quarters of a map with an odd side share the middle row and column
    torch.testing.assert_close(found[4:8], torch.tensor([2.0, 3.0, 5.0, 6.0]))


def test_copies_of_a_cut_backbone_share_nothing() -> None:
    cut = built(CONFIGS["torchvision"]).until("stage2")
    copied = copy.deepcopy(cut)
    with torch.no_grad():
        next(copied.parameters()).add_(1)

    assert not torch.equal(next(copied.parameters()), next(cut.parameters()))
