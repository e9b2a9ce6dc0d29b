"""ResNet-20 for small images (He et al. 2016, §4.2), with group in place of batch normalisation."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (16, 32, 64)
_BLOCKS_PER_STAGE = 3


class ResNet20(nn.Module):
    """Three stages of three blocks, each stage with half the pixels a side and twice the channels of the one before.

    For a teacher, what is left is best not pooled to one pixel: the body is frozen after the first task, and later classes may differ
    in features that the first ones did not need, such as where in the image something is. For the same reason earlier stages' features
    can be joined to those of the last.
    """

    def __init__(self, num_channels: int, pooled_size: int, pooled_stages: int) -> None:
        """Random weights from torch's global generator.

        Args:
            num_channels: Of the images.
            pooled_size: Cells a side to which features are pooled.
            pooled_stages: How many stages, from the last backwards, are pooled and joined.
        """
        super().__init__()
        self.stem = nn.Sequential(*_convolution(num_channels, _WIDTHS[0]), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(_stage(inputs, outputs) for inputs, outputs in pairwise((_WIDTHS[0], *_WIDTHS)))
        self.pool = nn.AdaptiveAvgPool2d(pooled_size)
        self.pooled_stages = pooled_stages
        self.num_features = pooled_size**2 * sum(_WIDTHS[-pooled_stages:])

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n features"]:
        """Gives the features of the earliest pooled stage first."""
        maps = self.stem(images)
        pooled: list[Tensor] = []
        for stage in self.stages:
            maps = stage(maps)
            pooled.append(maps)
        return torch.cat([self.pool(each).flatten(1) for each in pooled[-self.pooled_stages :]], dim=1)


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    stride = 1 if inputs == outputs else 2
    return nn.Sequential(_Block(inputs, outputs, stride), *(_Block(outputs, outputs) for _ in range(_BLOCKS_PER_STAGE - 1)))


class _Block(nn.Module):
    """Two convolutions whose result is added to what comes in."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(*_convolution(inputs, outputs, stride), nn.ReLU(inplace=True), *_convolution(outputs, outputs))
        self.shortcut = nn.Identity() if stride == 1 else nn.Sequential(*_convolution(inputs, outputs, stride, size=1))

    def forward(self, images: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs new_h new_w"]:
        return functional.relu(self.residual(images) + self.shortcut(images), inplace=True)


def _convolution(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> tuple[nn.Module, nn.Module]:
    """Group instead of batch normalisation, for the reason that `small_cnn` has."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False), nn.GroupNorm(8, outputs)
