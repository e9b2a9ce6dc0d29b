"""The layers of a network, with the inputs that they expect and the features that they return."""

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
    """Layers that compute features, and the inputs that these layers expect.

    Attributes:
        layers: Standardised floating-point images → features.
        num_features: Number of features.
        num_channels: Expected number of channels; grey images are repeated in every channel.
        pixel_mean: Mean of each channel's pixels, which lie in [0, 1]. The mean is subtracted from
            the pixels.
        pixel_deviation: Standard deviation of each channel's pixels. Pixels are divided by it after
            the mean was subtracted.
        input_size: Side in pixels to which images are resized if the configuration sets no size;
            None keeps the size of the images.
        stages: Function that splits `layers` into stages, or None for a network without stages. The
            stages may share modules with `layers`.
    """

    layers: nn.Module
    num_features: int
    num_channels: int
    pixel_mean: tuple[float, ...] = (0.0,)
    pixel_deviation: tuple[float, ...] = (1.0,)
    input_size: int | None = None
    stages: Callable[[nn.Module], Stages] | None = None
