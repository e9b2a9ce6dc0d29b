"""ResNet-20 for small images (He et al. 2016, §4.2), with group normalisation instead of batch
normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.backbones import ResNet20Config
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.stages import Stages

_WIDTHS = (16, 32, 64)
_BLOCKS_PER_STAGE = 3


def build(config: ResNet20Config, shape: Shape) -> Body:
    """Build the network for images of any size."""
    resnet = ResNet20(shape[0], config.pooled_sizes)
    return Body(resnet, resnet.num_features, shape[0], stages=_stages)


def _stages(resnet: nn.Module) -> Stages:
    assert isinstance(resnet, ResNet20)  # noqa: S101 - for the type checker
    first, *others = resnet.stages
    pooling: Any = resnet.pools[-1]
    num_final = _WIDTHS[-1] * pooling.output_size**2
    return Stages([nn.Sequential(resnet.stem, first), *others], _WIDTHS, pooling, num_final)


class ResNet20(nn.Module):
    """Three stages of three blocks. Each stage after the first halves the height and width of the
    map, and doubles the number of channels.

    The features are the outputs of the last stages, each pooled to its own number of cells, and
    concatenated. For a network that learns classes one task after the other, early stages matter as
    much as the last stage. Features of early stages serve any class and move little in further
    training; the last stage is specialised in the learned classes. Cells preserve positions in the
    image, which may distinguish later classes even if the first classes do not need them.
    """

    def __init__(self, num_channels: int, pooled_sizes: Sequence[int]) -> None:
        """Create the network with random weights from torch's global generator.

        Args:
            num_channels: Channels of the images.
            pooled_sizes: Cells per side to which the last stages are pooled, one number per stage,
                in the order of the stages.
        """
        super().__init__()
        self.stem = nn.Sequential(*_convolution(num_channels, _WIDTHS[0]), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(
            _stage(inputs, outputs) for inputs, outputs in pairwise((_WIDTHS[0], *_WIDTHS))
        )
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(size) for size in pooled_sizes)
        self.num_features = sum(
            width * size**2
            for width, size in zip(_WIDTHS[-len(pooled_sizes) :], pooled_sizes, strict=True)
        )

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n features"]:
        """Return the features of the pooled stages, in the order of the stages."""
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        last = maps[-len(self.pools) :]
        return torch.cat(
            [pool(each).flatten(1) for pool, each in zip(self.pools, last, strict=True)], dim=1
        )


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    stride = 1 if inputs == outputs else 2
    return nn.Sequential(
        _Block(inputs, outputs, stride),
        *(_Block(outputs, outputs) for _ in range(_BLOCKS_PER_STAGE - 1)),
    )


class _Block(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(inputs, outputs, stride),
            nn.ReLU(inplace=True),
            *_convolution(outputs, outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(*_convolution(inputs, outputs, stride, size=1))
        )

    def forward(
        self, images: Float[Tensor, "n inputs h w"]
    ) -> Float[Tensor, "n outputs new_h new_w"]:
        return functional.relu(self.residual(images) + self.shortcut(images), inplace=True)


def _convolution(
    inputs: int, outputs: int, stride: int = 1, size: int = 3
) -> tuple[nn.Module, nn.Module]:
    """Return a convolution, and the group normalisation of its output. `small_cnn` explains why
    group normalisation is used.
    """
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False), nn.GroupNorm(
        8, outputs
    )
