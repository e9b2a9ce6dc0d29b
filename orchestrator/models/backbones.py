"""Feature extractors: uint8 images → features."""

from __future__ import annotations

import difflib
import math
from typing import assert_never

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from orchestrator.config.learning import BackboneConfig, SmallCnnConfig, SmallCnnTinyConfig, TorchvisionConfig
from orchestrator.errors import ConfigError

Shape = tuple[int, int, int]
_MIN_GRID = 4  # convolutions work on at least this many pixels a side


class Backbone(nn.Module):
    """A body of layers behind the conversion of pixels, with the number of features it gives."""

    pixel_mean: Tensor
    pixel_deviation: Tensor

    def __init__(self, body: nn.Module, num_features: int, num_channels: int, standardized: bool = False) -> None:
        """Wraps a body.

        Args:
            body: Floating-point images → features.
            num_features: Features that the body gives.
            num_channels: Channels that the body expects; grey images are repeated.
            standardized: The body expects the statistics of ImageNet photographs instead of pixels in [0, 1].
        """
        super().__init__()
        self.body = body
        self.num_features = num_features
        self.num_channels = num_channels
        mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if standardized else ([0.0], [1.0])
        self.register_buffer("pixel_mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("pixel_deviation", torch.tensor(deviation).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Gives each image's features."""
        pixels = images.float() / 255
        if pixels.shape[1] != self.num_channels:
            pixels = pixels.expand(-1, self.num_channels, -1, -1)
        features: Tensor = self.body((pixels - self.pixel_mean) / self.pixel_deviation)
        return features.flatten(1)


def build_backbone(config: BackboneConfig, shape: Shape) -> Backbone:
    """Builds an extractor for images of a shape, with weights from torch's global generator.

    Raises:
        ConfigError: torchvision has no such model or weights, or they cannot be loaded.
    """
    match config:
        case SmallCnnConfig():
            return _small_cnn((32, 64, 128), shape)
        case SmallCnnTinyConfig():
            return _small_cnn((16, 32, 32), shape)
        case TorchvisionConfig():
            return _torchvision(config)
        case _:
            assert_never(config)


def _small_cnn(widths: tuple[int, int, int], shape: Shape) -> Backbone:
    """Blocks of convolution, group normalisation and ReLU, halving the image until it is 4x4, then pooled to 2x2.

    Group instead of batch normalisation: it neither depends on who else is in the batch nor on how many workers share it.
    """
    channels, height, width = shape
    num_halvings = max(1, math.ceil(math.log2(min(height, width) / _MIN_GRID)))
    strides = [1] + [2] * num_halvings + [1]
    outputs = [widths[0], widths[1], *[widths[2]] * num_halvings]
    layers: list[nn.Module] = []
    inputs = channels
    for output, stride in zip(outputs, strides, strict=True):
        layers += [nn.Conv2d(inputs, output, 3, stride=stride, padding=1, bias=False), nn.GroupNorm(8, output), nn.ReLU()]
        inputs = output
    return Backbone(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2)), num_features=4 * inputs, num_channels=channels)


def _torchvision(config: TorchvisionConfig) -> Backbone:
    from torchvision import models  # noqa: PLC0415 - seconds of imports that the small networks do not need

    if config.name not in models.list_models(module=models):
        nearest = difflib.get_close_matches(config.name, models.list_models(module=models), n=1)
        advice = f"did you mean {nearest[0]}?" if nearest else "see torchvision.models.list_models()"
        raise ConfigError(f"torchvision has no classification model {config.name!r}", where="backbone.name", next_step=advice)
    try:
        model = models.get_model(config.name, weights=config.weights)
    except (ValueError, KeyError, OSError) as error:
        raise ConfigError(
            f"the weights {config.weights!r} of {config.name} cannot be loaded ({error})", where="backbone.weights", next_step="use null"
        ) from None
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError(f"{config.name} does not end in a linear layer", where="backbone.name", next_step="choose resnet18, for example")
    name, last = linear[-1]
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, nn.Identity())
    return Backbone(model, num_features=last.in_features, num_channels=3, standardized=True)
