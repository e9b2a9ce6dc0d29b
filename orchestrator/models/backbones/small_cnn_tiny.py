"""Variant of `small_cnn` with fewer channels, meant for students."""

from __future__ import annotations

from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.small_cnn import small_cnn


def build(_config: SmallCnnTinyConfig, shape: Shape) -> Body:
    """Build the variant of `small_cnn` with 16 to 32 channels, meant for students."""
    return small_cnn((16, 32, 32), shape)
