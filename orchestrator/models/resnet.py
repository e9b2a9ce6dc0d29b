"""ResNet-20 for small images (He et al. 2016, §4.2), with group in place of batch normalisation."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (16, 32, 64)
_BLOCKS_PER_STAGE = 3
RESNET20_FEATURES = _WIDTHS[-1]  # of every pooled cell


def resnet20(num_channels: int, pooled_size: int) -> nn.Sequential:
    """Three stages of three blocks, each stage with half the pixels a side and twice the channels of the one before.

    For a teacher, what is left is best not pooled to one pixel: the body is frozen after the first task, and later classes may differ
    in features that the first ones did not need, such as where in the image something is.

    Args:
        num_channels: Of the images.
        pooled_size: Cells a side to which the last features are pooled.
    """
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise((_WIDTHS[0], *_WIDTHS)):
        stride = 1 if inputs == outputs else 2
        blocks += [_Block(inputs, outputs, stride), *(_Block(outputs, outputs) for _ in range(_BLOCKS_PER_STAGE - 1))]
    return nn.Sequential(*_convolution(num_channels, _WIDTHS[0]), nn.ReLU(inplace=True), *blocks, nn.AdaptiveAvgPool2d(pooled_size))


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
