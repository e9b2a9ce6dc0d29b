"""The layers of a network, with the properties that other code needs to know of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from orchestrator.models.backbones.stages import Stages

Shape = tuple[int, int, int]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels, by channel."""


@dataclass(frozen=True)
class Body:
    """Layers that compute features, and the inputs they expect.

    Attributes:
        layers: Standardised floating-point images → features.
        num_features: Number of features.
        num_channels: Expected number of channels; grey images are repeated.
        pixel_mean: Mean of each channel, subtracted from pixels in [0, 1].
        pixel_deviation: Standard deviation of each channel, which then divides the pixels.
        input_size: Side in pixels to which images are resized if the configuration names none; None
            keeps the images' size.
        stages: Returns the stages of `layers`, which may share its modules; None for a network
            without stages.
    """

    layers: nn.Module
    num_features: int
    num_channels: int
    pixel_mean: tuple[float, ...] = (0.0,)
    pixel_deviation: tuple[float, ...] = (1.0,)
    input_size: int | None = None
    stages: Callable[[nn.Module], Stages] | None = None
