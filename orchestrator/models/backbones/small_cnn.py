"""Small convolutional networks for images of 8x8 to 32x32."""

from __future__ import annotations

import math

from torch import nn

from orchestrator.config.backbones import SmallCnnConfig
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.stages import Stages

_LAYERS_PER_STAGE = 3
_MIN_GRID = 4  # blocks halve the image until it has this number of pixels per side


def build(_config: SmallCnnConfig, shape: Shape) -> Body:
    """Build the network with 32 to 128 channels, meant for teachers."""
    return small_cnn((32, 64, 128), shape)


def small_cnn(widths: tuple[int, int, int], shape: Shape) -> Body:
    """Build blocks of convolution, group normalisation and ReLU, followed by pooling to 2x2. Blocks
    halve the image until its shorter side has at most 4 pixels.

    Group normalisation is used instead of batch normalisation. Its results do not depend on the
    other images in the batch, or on the number of workers that share the batch.
    """
    channels, height, width = shape
    num_halvings = max(1, math.ceil(math.log2(min(height, width) / _MIN_GRID)))
    strides = [1] + [2] * num_halvings + [1]
    outputs = [widths[0], widths[1], *[widths[2]] * num_halvings]
    layers: list[nn.Module] = []
    inputs = channels
    for output, stride in zip(outputs, strides, strict=True):
        layers += [
            nn.Conv2d(inputs, output, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(8, output),
            nn.ReLU(),
        ]
        inputs = output
    return Body(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2)),
        num_features=4 * inputs,
        num_channels=channels,
        stages=_stages,
    )


def _stages(layers: nn.Module) -> Stages:
    """Return the stages: each convolution with the layers up to the next convolution."""
    assert isinstance(layers, nn.Sequential)  # noqa: S101 - for the type checker
    *convolutions, pooling = layers
    parts = [
        nn.Sequential(*convolutions[start : start + _LAYERS_PER_STAGE])
        for start in range(0, len(convolutions), _LAYERS_PER_STAGE)
    ]
    channels = [len(part[0].weight) for part in parts]  # type: ignore[arg-type] # a convolution
    return Stages(parts, channels, pooling)
