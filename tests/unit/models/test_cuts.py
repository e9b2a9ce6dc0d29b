"""The cost of cuts: worked by hand, and compared with torch's own counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.config.backbones import (
    BackboneConfig,
    EfficientNetLite0Config,
    InheritedLayersConfig,
    ResNet20Config,
    SmallCnnConfig,
    TimmConfig,
    TorchvisionConfig,
)
from orchestrator.config.features import StageFeaturesConfig
from orchestrator.errors import ConfigError
from orchestrator.models import LinearClassifier, Network, build_backbone
from orchestrator.models.backbones import cuts_of
from orchestrator.models.backbones.cuts import multiply_adds
from orchestrator.models.backbones.stages import Stages

SHAPE = (3, 32, 32)
DIGITS = (1, 8, 8)


def test_multiply_adds_are_those_of_convolutions_and_linear_layers() -> None:
    first = nn.Conv2d(2, 3, 3, padding=1)
    second = nn.Sequential(nn.Conv2d(3, 6, 1, stride=2, groups=3), nn.BatchNorm2d(6), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    stages = Stages([first, second], [3, 6], head)

    # 3 maps of 4x4 from 2 of 3x3; 6 maps of 2x2, each from 1 of 1x1; 5 numbers from 6
    expected = 3 * 16 * 2 * 9 + 6 * 4 * 1 + 5 * 6
    assert multiply_adds(stages.eval(), torch.zeros(1, 2, 4, 4)) == expected
    assert multiply_adds(stages, torch.zeros(2, 2, 4, 4)) == 2 * expected
    assert multiply_adds(stages.until(1), torch.zeros(1, 2, 4, 4)) == 3 * 16 * 2 * 9


def test_counting_leaves_no_hooks_behind() -> None:
    layer = nn.Linear(2, 2)
    multiply_adds(layer, torch.zeros(1, 2))
    assert not layer._forward_hooks


def test_the_cuts_of_small_cnn_match_those_worked_by_hand() -> None:
    found = cuts_of(SmallCnnConfig(), DIGITS)
    one, two, three = found.cuts

    assert [cut.stage for cut in found.cuts] == ["stage1", "stage2", "stage3"]
    assert [cut.num_channels for cut in found.cuts] == [32, 64, 128]
    assert [cut.map_size for cut in found.cuts] == [(8, 8), (4, 4), (4, 4)]
    # mean and deviation of every channel; four cells each for stages 2 and 3
    assert [cut.num_features for cut in found.cuts] == [64, 64 + 6 * 64, 64 + 6 * 64 + 6 * 128]
    # a 3x3 convolution without bias, and two normalisation parameters per channel
    assert one.cost.num_parameters == 9 * 32 + 2 * 32
    assert two.cost.num_parameters == one.cost.num_parameters + 9 * 32 * 64 + 2 * 64
    assert three.cost.num_parameters == two.cost.num_parameters + 9 * 64 * 128 + 2 * 128
    assert one.cost.num_multiply_adds == 64 * 9 * 32
    assert two.cost.num_multiply_adds == one.cost.num_multiply_adds + 16 * 9 * 32 * 64
    assert three.cost.num_multiply_adds == two.cost.num_multiply_adds + 16 * 9 * 64 * 128
    assert found.whole == three.cost, "pooling costs neither parameters nor multiply-adds"
    assert not found.mirrored


def test_the_first_stage_of_resnet20_has_a_stem_and_six_convolutions() -> None:
    first, second, third = cuts_of(ResNet20Config(), SHAPE).cuts

    assert first.cost.num_multiply_adds == 1024 * 9 * (3 * 16 + 6 * 16 * 16)
    # then half the side length, twice the channels, and a 1x1 convolution in the first block's
    # shortcut
    added = 256 * (9 * 16 * 32 + 5 * 9 * 32 * 32 + 16 * 32)
    assert second.cost.num_multiply_adds == first.cost.num_multiply_adds + added
    assert third.map_size == (8, 8)


def test_a_mirrored_backbone_has_twice_the_work_and_no_more_parameters() -> None:
    once, twice = cuts_of(ResNet20Config(), SHAPE), cuts_of(ResNet20Config(mirrored=True), SHAPE)

    assert twice.mirrored
    for one, two in zip(once.cuts, twice.cuts, strict=True):
        assert two.cost.num_multiply_adds == 2 * one.cost.num_multiply_adds
        assert two.cost.num_parameters == one.cost.num_parameters


def test_a_cut_counts_parameters_like_a_network() -> None:
    config = EfficientNetLite0Config(input_size=32)
    [cut] = cuts_of(config, SHAPE, "stage2").cuts
    student = build_backbone(
        InheritedLayersConfig(until="stage2", base=config.model_copy(update={"weights": None})),
        SHAPE,
    )
    classifier = LinearClassifier(torch.zeros(cut.num_features, 2), torch.zeros(2))
    network = Network(student, nn.Identity(), classifier)

    assert cut.cost.num_parameters == network.num_parameters() - 2 * cut.num_features - 2
    assert cut.num_features == student.num_features
    assert cut.map_size == (8, 8)


def test_latency_is_measured_only_on_request_and_on_one_thread() -> None:
    threads = torch.get_num_threads()
    assert cuts_of(SmallCnnConfig(), DIGITS).whole.latency_seconds is None
    [cut] = cuts_of(SmallCnnConfig(), DIGITS, "stage1", is_timed=True).cuts
    assert cut.cost.latency_seconds
    assert cut.cost.latency_seconds > 0
    assert torch.get_num_threads() == threads


def test_listing_cuts_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    cuts_of(SmallCnnConfig(), DIGITS)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_backbone_without_stages_has_no_cuts() -> None:
    with pytest.raises(ConfigError, match="has no stages"):
        cuts_of(TorchvisionConfig(name="swin_t", weights="DEFAULT"), SHAPE)


@pytest.mark.slow  # torch's counter imports TorchDynamo
@pytest.mark.parametrize(
    "config",
    [
        EfficientNetLite0Config(input_size=32, features=StageFeaturesConfig()),
        TorchvisionConfig(name="resnet18", features=StageFeaturesConfig()),
        TimmConfig(name="resnet18", input_size=32, features=StageFeaturesConfig()),
    ],
    ids=lambda config: config.kind,
)
@torch.no_grad()
def test_multiply_adds_equal_those_of_torchs_counter(config: BackboneConfig) -> None:
    found = cuts_of(config, SHAPE)
    base = config.model_copy(update={"weights": None})
    for cut in found.cuts:
        student = build_backbone(InheritedLayersConfig(until=cut.stage, base=base), SHAPE).eval()
        with FlopCounterMode(display=False) as counter:
            student(torch.zeros(1, *SHAPE, dtype=torch.uint8))
        assert 2 * cut.cost.num_multiply_adds == counter.get_total_flops()
