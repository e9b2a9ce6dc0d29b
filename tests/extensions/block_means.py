"""A backbone of another distribution, with pre-trained weights from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from pydantic import Field
from torch import nn

from orchestrator.config.backbones import BackboneExtension
from orchestrator.models.backbones import Body, Shape


class BlockMeansConfig(BackboneExtension):
    """Backbone of block means and a linear layer."""

    num_features: int = Field(default=6, description="That the linear layer gives.")
    declared: int | None = Field(default=None, description="That are said to be given.")
    weights: Path | None = Field(default=None, description="File of weights; null means random.")


class BlockMeans:
    """Means of four blocks of an image, combined by one layer."""

    config = BlockMeansConfig
    format = 1

    @staticmethod
    def build(config: BlockMeansConfig, shape: Shape) -> Body:
        """Build the layers."""
        linear = nn.Linear(4 * shape[0], config.num_features)
        if config.weights is not None:
            linear.load_state_dict(torch.load(config.weights, weights_only=True))
        layers = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), linear)
        return Body(layers, config.declared or config.num_features, shape[0])

    @staticmethod
    def weights_identity(config: BlockMeansConfig) -> str:
        """Return the digest of the file."""
        content = b"" if config.weights is None else config.weights.read_bytes()
        return hashlib.sha256(content).hexdigest() if content else ""
