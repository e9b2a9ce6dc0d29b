"""A backbone of two convolutions whose width is a setting.

The entry point names this module: it offers `config`, `format` and `build`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from orchestrator.config.backbones import BackboneExtension
from orchestrator.models.backbones import Body


class WideCnnConfig(BackboneExtension):
    """Two convolutions, pooled to 2x2 cells."""

    kind: Literal["wide_cnn"] = "wide_cnn"
    width: int = Field(default=32, ge=1, description="Channels of both convolutions.")


config = WideCnnConfig
format = 1  # noqa: A001 - the name that the orchestrator asks for


def build(config: WideCnnConfig, shape: tuple[int, int, int]) -> Body:
    """Return the layers for images of (channels, height, width)."""
    channels, width = shape[0], config.width
    layers = nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
    )
    return Body(layers, num_features=4 * width, num_channels=channels)
