"""The choice of backbones: which network extracts features."""

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
    """Return whether this is the path of a file of weights, and not the name of weights."""
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
    features: FeaturesConfig = Field(
        default_factory=FinalFeaturesConfig,
        description=(
            "final: what comes out of the last layer; stages: statistics of every stage of the"
            " network, too."
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
    weights: FileOrName | None = Field(
        default=None,
        description=(
            "Pre-trained weights: a name such as DEFAULT (downloaded once), or a file"
            " (.safetensors, or a state dict of torch); null means random."
        ),
    )


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


class TimmConfig(_BackboneConfig):
    """Any network of timm without its classifier, vision transformers included; needs the extra
    `timm`.
    """

    kind: Literal["timm"] = "timm"
    name: str = Field(
        description=(
            "Name in timm, for example convnext_atto, or with the tag of its weights"
            " vit_small_patch14_dinov2.lvd142m."
        )
    )
    weights: FileOrName | Literal[True] | None = Field(
        default=None,
        description=(
            "Pre-trained weights: true for those of the name's tag (without one, timm's first"
            " choice), downloaded once; a tag, which is then added to the name; a file"
            " (.safetensors, or a state dict of torch); null means random."
        ),
    )
    input_size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description=(
            "Side in pixels to which the network resizes its images; null means the size that timm"
            " names for it."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _add_tag_to_name(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the YAML file holds
        """Keep the tag in the name: it also decides about the size and statistics of the images,
        which stay when the learned weights have replaced the pre-trained ones.
        """
        if not isinstance(values, dict):
            return values
        name, tag = values.get("name"), values.get("weights")
        if not (isinstance(name, str) and isinstance(tag, str)) or is_weight_file(tag):
            return values
        architecture, _, named = name.partition(".")
        if named not in ("", tag):
            msg = f"weights = {tag}, but name = {name} names others; give weights: true"
            raise ValueError(msg)
        return {**values, "name": f"{architecture}.{tag}", "weights": True}


class BackboneExtension(_BackboneConfig, Extension):
    """Base of the configuration of a backbone (`orchestrator.backbones`).

    Its entry point offers `build(config, shape) -> Body` (see `orchestrator.models.backbones`). One
    that comes with pre-trained weights also offers `weights_identity(config) -> str`, and has a
    field `weights` here, which must allow None for random ones: a network that is rebuilt with the
    weights it has learned is built with None.
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
    """The first stages of the teacher's backbone, with its weights: fewer layers [A §53]."""

    kind: Literal["inherited"] = "inherited"
    until: str = Field(
        pattern=r"^stage[1-9][0-9]*$",
        description=(
            "Last stage that the student takes, such as stage4; `orchestrator plan --cuts` lists"
            " the stages with their cost."
        ),
    )


class InheritedLayersConfig(InheritedBackboneConfig):
    """An inherited backbone together with the one that it is cut from: what can be built.

    No experiment file holds one: `Experiment.backbone_of` makes it.
    """

    base: BackboneConfig = Field(description="The teacher's backbone.")

    @property
    def input_size(self) -> int | None:
        """The teacher's."""
        return self.base.input_size

    @property
    def mirrored(self) -> bool:
        """The teacher's."""
        return self.base.mirrored

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The teacher's."""
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
    """Return whether a backbone starts from pre-trained weights, a built-in one or an extension."""
    if isinstance(config, InheritedLayersConfig):
        return has_pretrained_weights(config.base)
    return getattr(config, "weights", None) is not None


def without_pretrained_weights(config: BuildableBackboneConfig) -> BuildableBackboneConfig:
    """Return the configuration of the same network with random weights."""
    if isinstance(config, InheritedLayersConfig):
        return config.model_copy(update={"base": without_pretrained_weights(config.base)})
    changes = {"weights": None} if has_pretrained_weights(config) else {}
    return config.model_copy(update=changes)
