"""`small_cnn` with fewer channels, in the student's size."""

from __future__ import annotations

from orchestrator.config.backbones import SmallCnnTinyConfig
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.small_cnn import small_cnn


def build(_config: SmallCnnTinyConfig, shape: Shape) -> Body:
    """Build the network in the student's size."""
    return small_cnn((16, 32, 32), shape)
