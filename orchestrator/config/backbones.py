"""The choice of backbones: which network extracts features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from orchestrator.config.addresses import absolute_path
from orchestrator.config.base import Config

PooledSize = Annotated[int, Field(ge=1, le=8)]


class _BackboneConfig(Config):
    input_size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description=(
            "Side in pixels to which the network resizes its images; null takes them as they come."
        ),
    )
    mirrored: bool = Field(
        default=False,
        description=(
            "Whether features are the mean of those of an image and its mirror image: right for"
            " photographs, wrong for digits; twice the work."
        ),
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description=(
            "Of the layers' arithmetic: bfloat16 is faster where the processor has instructions"
            " for it."
        ),
    )


class SmallCnnConfig(_BackboneConfig):
    """A small convolutional extractor for 8x8 to 32x32 images (about 93,000 parameters at 8x8, 512
    features).
    """

    kind: Literal["small_cnn"] = "small_cnn"


class SmallCnnTinyConfig(_BackboneConfig):
    """The student's size: about a seventh of `small_cnn` (128 features)."""

    kind: Literal["small_cnn_tiny"] = "small_cnn_tiny"


class ResNet20Config(_BackboneConfig):
    """The residual network for photographs of about 32x32 (about 272,000 parameters; its stages
    have 16, 32 and 64 channels).
    """

    kind: Literal["resnet20"] = "resnet20"
    pooled_sizes: tuple[PooledSize, ...] = Field(
        default=(4, 2, 1),
        min_length=1,
        max_length=3,
        description=(
            "Cells a side to which the features of the last stages are pooled, in the stages'"
            " order: (4, 2, 1) joins those of all three, as early ones serve classes that are yet"
            " to come; (1,) is the smallest student."
        ),
    )


class TorchvisionConfig(_BackboneConfig):
    """Any classification model of torchvision, without its last layer."""

    kind: Literal["torchvision"] = "torchvision"
    name: str = Field(description="Name in torchvision.models, for example resnet18.")
    weights: str | None = Field(
        default=None,
        description=(
            "Pre-trained weights: a name such as DEFAULT (downloaded once), or a file"
            " (.safetensors, or a state dict of torch); null means random."
        ),
    )

    @field_validator("weights")
    @classmethod
    def _absolute_file(cls, weights: str | None) -> str | None:
        is_file = weights is not None and Path(weights).suffix in WEIGHT_FILES
        return str(absolute_path(weights)) if weights is not None and is_file else weights


class EfficientNetLite0Config(_BackboneConfig):
    """EfficientNet-Lite0 (3.4 million parameters, 1,280 features); its ImageNet weights come with
    the extra `pretrained`, offline.
    """

    kind: Literal["efficientnet_lite0"] = "efficientnet_lite0"
    weights: Literal["imagenet"] | None = Field(
        default="imagenet", description="imagenet, or null for random ones."
    )
    input_size: int = Field(
        default=112,
        ge=32,
        le=1024,
        description="Side in pixels to which the network resizes its images.",
    )


BackboneConfig = Annotated[
    SmallCnnConfig
    | SmallCnnTinyConfig
    | ResNet20Config
    | TorchvisionConfig
    | EfficientNetLite0Config,
    Field(discriminator="kind"),
]
PretrainedBackboneConfig = TorchvisionConfig | EfficientNetLite0Config
WEIGHT_FILES = (".safetensors", ".pt", ".pth")
