"""Feature extractors: uint8 images → features."""

from __future__ import annotations

import copy
import hashlib

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.backbones import BuildableBackboneConfig, InheritedLayersConfig
from orchestrator.config.features import StageFeaturesConfig
from orchestrator.errors import ConfigError
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.kinds import kind_of
from orchestrator.models.backbones.stages import (
    FINAL,
    FeatureGroup,
    StageFeatures,
    Stages,
    stage_name,
)


class Backbone(nn.Module):
    """Network that standardises uint8 pixels and computes features from them."""

    pixel_mean: Tensor
    pixel_deviation: Tensor

    def __init__(self, body: Body, config: BuildableBackboneConfig) -> None:
        """Build the extractor from the layers of a body.

        Args:
            body: Layers, with their expected inputs and number of features.
            config: Input size (if set), precision of the layers' computations, mirroring, and the
                features to return. Weights and returned features are always float32.

        Raises:
            ConfigError: Features of stages are requested from a network without stages.
        """
        super().__init__()
        self.precision = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        self.mirrored = config.mirrored
        self.body = body.layers
        self._num_final, self._stages_of = body.num_features, body.stages
        self.num_channels = body.num_channels
        self.input_size = body.input_size if config.input_size is None else config.input_size
        self.register_buffer(
            "pixel_mean", torch.tensor(body.pixel_mean).view(1, -1, 1, 1), persistent=False
        )
        self.register_buffer(
            "pixel_deviation",
            torch.tensor(body.pixel_deviation).view(1, -1, 1, 1),
            persistent=False,
        )
        features = None if isinstance(config, InheritedLayersConfig) else config.features
        self._pooled = StageFeaturesConfig().pooled
        if isinstance(features, StageFeaturesConfig):
            self._pooled = features.pooled
            self.body = StageFeatures(self.stages(), self._num_final, self._pooled)

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """Return the groups of the features, in the order of the features."""
        if isinstance(self.body, StageFeatures):
            return self.body.groups
        return (FeatureGroup(FINAL, self._num_final),)

    @property
    def num_features(self) -> int:
        """Return the number of features of an image."""
        return sum(group.size for group in self.groups)

    def stages(self) -> Stages:
        """Return the network's stages, which share the layers of the network.

        Raises:
            ConfigError: The network has no stages, like some vision transformers.
        """
        if isinstance(self.body, StageFeatures):
            return self.body.stages
        if self._stages_of is None:
            raise ConfigError(
                "this network has no stages to take features from",
                where="backbone",
                next_step="choose a convolutional network, or features: {kind: final}",
            )
        return self._stages_of(self.body)

    def until(self, stage: str) -> Backbone:
        """Return a copy of the network that ends with a given stage. The copy returns the features
        of its remaining stages.

        Args:
            stage: Name of the last stage to keep.

        Raises:
            ConfigError: The network has no such stage.
        """
        stages = self.stages()
        names = [stage_name(number) for number in range(1, len(stages.channels) + 1)]
        if stage not in names:
            raise ConfigError(
                f"the teacher's backbone has no {stage}: it has {', '.join(names)}",
                where="backbone.until",
                next_step="choose one of them; `orchestrator plan --cuts` then lists their cost",
            )
        cut = copy.copy(self)
        cut._modules = dict(self._modules)  # noqa: SLF001 - of a copy of this object
        cut._buffers = dict(self._buffers)  # noqa: SLF001 - of a copy of this object
        cut.body = StageFeatures(stages.until(names.index(stage) + 1), 0, self._pooled)
        return cut

    def digest(self) -> str:
        """Return a SHA-256 over everything that determines an image's features."""
        settings = (self.mirrored, str(self.precision), self.input_size, self.groups)
        hashed = hashlib.sha256(repr(settings).encode())
        for name, tensor in self.state_dict().items():
            hashed.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return hashed.hexdigest()

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Compute each image's features."""
        # The memory format channels_last makes convolutions on a CPU faster: depthwise ones 1.7
        # times, a training step of resnet20 1.2 times. Weights keep the usual format, in which they
        # are stored, exported and trained.
        pixels = images.contiguous(memory_format=torch.channels_last).float() / 255
        if self.input_size is not None and images.shape[-2:] != (self.input_size, self.input_size):
            shrinks = (
                images.shape[-1] > self.input_size
            )  # shrinking without antialiasing would skip most pixels
            pixels = functional.interpolate(
                pixels, (self.input_size, self.input_size), mode="bilinear", antialias=shrinks
            )
        if pixels.shape[1] != self.num_channels:
            pixels = pixels.expand(-1, self.num_channels, -1, -1)
        standardized = (pixels - self.pixel_mean) / self.pixel_deviation
        if self.mirrored:
            standardized = torch.cat([standardized, standardized.flip(3)])
        with torch.autocast(
            images.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            features: Tensor = self.body(standardized)
        features = features.float().flatten(1)
        return features.unflatten(0, (2, -1)).mean(dim=0) if self.mirrored else features


def build_backbone(config: BuildableBackboneConfig, shape: Shape) -> Backbone:
    """Build an extractor for images of a given shape. Its weights are pre-trained, or random
    numbers from torch's global generator.

    Raises:
        ConfigError: The network or stage does not exist, its weights cannot be loaded, or the
            `build` function of an extension does not return a `Body`.
    """
    if isinstance(config, InheritedLayersConfig):
        return build_backbone(config.base, shape).until(config.until)
    if config.input_size is not None:
        shape = (shape[0], config.input_size, config.input_size)
    body: object = kind_of(config).build(config, shape)
    if not isinstance(body, Body):
        raise ConfigError(
            f"`build` of the backbone {config.kind!r} returned {type(body).__name__} instead of a"
            " Body",
            where="backbone.kind",
            next_step="update or uninstall the package that offers it",
        )
    return Backbone(body, config)
