"""Configure how the teacher learns, after patent A (explained in docs/method.md, section 2)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.config.backbones import BackboneConfig, SmallCnnConfig, has_pretrained_weights
from orchestrator.config.base import Config
from orchestrator.config.bounds import (
    MOST_DIMENSIONS,
    MOST_RATE,
    MOST_STEPS,
    MOST_VIEWS,
    MOST_WEIGHT,
)
from orchestrator.config.training import RefinementConfig, Rehearsal, TrainingConfig


class AdaptiveAugmentationConfig(Config):
    """Augmentation of old prototypes by learnable vectors, which are optimised through the old
    classifier (patent A, claims 4 and 5).
    """

    kind: Literal["adaptive"] = "adaptive"
    num_vectors: int = Field(
        default=16, ge=1, le=MOST_DIMENSIONS, description="Augmented prototypes per old class."
    )
    radius: float = Field(
        default=1.0,
        gt=0,
        le=MOST_WEIGHT,
        description="Largest length of a vector, in units of the class's spread.",
    )
    learning_rate: float = Field(
        default=0.05, ge=0, le=MOST_RATE, description="Learning rate of the vectors; 0 fixes them."
    )
    num_steps: int = Field(
        default=30, ge=0, le=MOST_STEPS, description="Vector optimisation steps before each task."
    )
    margin: float = Field(
        default=0.1,
        ge=0,
        le=2,
        description="Margin, in cosine, that the old classifier must keep for the vector's class.",
    )
    separation_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of keeping vectors away from the embeddings of new classes.",
    )
    diversity_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of keeping the vectors of a class apart from each other.",
    )


class RandomAugmentationConfig(Config):
    """Augmentation of old prototypes by random vectors, drawn from each class's feature spread."""

    kind: Literal["random"] = "random"
    num_vectors: int = Field(
        default=16, ge=1, le=MOST_DIMENSIONS, description="Augmented prototypes per old class."
    )
    radius: float = Field(
        default=1.0,
        gt=0,
        le=MOST_WEIGHT,
        description="Largest length of a vector, in units of the class's spread.",
    )


class NoAugmentationConfig(Config):
    """No augmentation: only the prototype itself represents an old class."""

    kind: Literal["none"] = "none"


PrototypeAugmentationConfig = Annotated[
    AdaptiveAugmentationConfig | RandomAugmentationConfig | NoAugmentationConfig,
    Field(discriminator="kind"),
]


class ObservedSpreadConfig(Config):
    """Spread of the features of old classes, approximated by the spread of the new task's features
    around their class means. This setting stores no spread and computes no matrix root. In
    measurements, refinement lost more accuracy with this setting.
    """

    kind: Literal["observed"] = "observed"


class SharedSpreadConfig(Config):
    """Spread of features around class means, stored as one covariance matrix for all classes."""

    kind: Literal["shared"] = "shared"


class ScalarSpreadConfig(Config):
    """Spread of features around each class mean, stored as one radius per class (least memory)."""

    kind: Literal["scalar"] = "scalar"


class LowRankSpreadConfig(Config):
    """Spread of features around each class mean, stored as the class's main directions."""

    kind: Literal["low_rank"] = "low_rank"
    rank: int = Field(
        default=8, ge=1, le=MOST_DIMENSIONS, description="Number of directions stored per class."
    )


SpreadConfig = Annotated[
    ObservedSpreadConfig | SharedSpreadConfig | ScalarSpreadConfig | LowRankSpreadConfig,
    Field(discriminator="kind"),
]


class JointEmbeddingConfig(Config):
    """Space where training gathers each class and separates classes (patent A, claims 1 and 7)."""

    dimensions: Annotated[int, Field(ge=2, le=8192)] | None = Field(
        default=512,
        description=(
            "Dimensions of the embedding space; null means as many as the extractor has features."
        ),
    )
    pull_margin: float = Field(
        default=0.5,
        ge=0,
        le=2,
        description="Distance to the class centre within which embeddings are not pulled.",
    )
    push_margin: float = Field(
        default=1.2, ge=0, le=2, description="Distance beyond which classes are not pushed apart."
    )
    weight: float = Field(
        default=0.1,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of push and pull relative to the cross-entropy; 0 disables both.",
    )
    keep_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of keeping embeddings close to those before the task.",
    )
    shrinkage: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of the covariance replaced by an isotropic one before whitening.",
    )
    few_images_shrinkage: float = Field(
        default=0.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Additional shrinkage when images are few: this value times the covariance's"
            " effective dimensions per image is added to the odds of `shrinkage`. 0 suits"
            " features learned on such images, about 8 pre-trained final features, about 24"
            " pre-trained features of all stages."
        ),
    )
    adapter_width: int = Field(
        default=64, ge=1, le=MOST_DIMENSIONS, description="Hidden units of the residual adapter."
    )

    def dimensions_for(self, num_features: int) -> int:
        """Return the number of embedding dimensions for features of `num_features` dimensions."""
        return num_features if self.dimensions is None else self.dimensions

    @model_validator(mode="after")
    def _push_beyond_pull(self) -> JointEmbeddingConfig:
        if self.push_margin <= self.pull_margin:
            msg = (
                f"push_margin = {self.push_margin} must be larger than pull_margin ="
                f" {self.pull_margin}; raise it or lower pull_margin"
            )
            raise ValueError(msg)
        return self


class FrozenExtractorConfig(Config):
    """Feature extractor that learns in the first task only (patent A, paragraph 67)."""

    kind: Literal["frozen"] = "frozen"


class PretrainedExtractorConfig(Config):
    """Feature extractor that keeps the pre-trained weights of its backbone and never learns.

    The features of each data set are computed once, and shared by all runs and trials.
    """

    kind: Literal["pretrained"] = "pretrained"


class FineTunedExtractorConfig(Config):
    """Feature extractor that learns in every task, regularised by feature distillation."""

    kind: Literal["fine_tuned"] = "fine_tuned"
    learning_rate_fraction: float = Field(
        default=0.1, gt=0, le=1, description="Share of the learning rate that later tasks use."
    )
    distillation_weight: float = Field(
        default=10.0, ge=0, le=MOST_WEIGHT, description="Weight of the feature distillation loss."
    )


ExtractorConfig = Annotated[
    FrozenExtractorConfig | PretrainedExtractorConfig | FineTunedExtractorConfig,
    Field(discriminator="kind"),
]


class TeacherConfig(Config):
    """The teacher: the larger model, which learns continually (patent A, claims 1 to 7)."""

    backbone: BackboneConfig = Field(
        default=SmallCnnConfig(), description="The feature extractor's architecture."
    )
    extractor: ExtractorConfig = Field(
        default=FrozenExtractorConfig(), description="Tasks in which the feature extractor learns."
    )
    self_supervision: Literal["rotation", "none"] = Field(
        default="rotation",
        description=(
            "rotation: in the first task, each quarter turn of a class is a separate class; none:"
            " no self-supervision."
        ),
    )
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="Training of the extractor, in the first task."
    )
    refinement: RefinementConfig = Field(
        default=RefinementConfig(),
        description="Training of embedding module and classifier, in every task; off by default.",
    )
    rehearsal: float = Rehearsal
    refinement_gate: bool = Field(
        default=True,
        description=(
            "Whether to keep only as much of each refinement as helps on held-out features; false"
            " keeps all of it."
        ),
    )
    num_views: int = Field(
        default=8,
        ge=0,
        le=MOST_VIEWS,
        description="Number of augmented views of every training image; 0 uses the images alone.",
    )
    view_weight: float = Field(
        default=40.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Trust in the mean of the views, as a number of images w: in a class of n images, the"
            " views' mean has the weight w / (w + n)."
        ),
    )
    spread: SpreadConfig = Field(
        default=SharedSpreadConfig(),
        description="Source of the deviations of augmented prototypes.",
    )
    augmentation: PrototypeAugmentationConfig = Field(
        default=AdaptiveAugmentationConfig(), description="Augmentation of old prototypes."
    )
    agreement_rounds: int = Field(
        default=2,
        ge=0,
        le=MOST_STEPS,
        description=(
            "Number of rounds in which images whose features contradict their labels lose weight"
            " in the mean and spread of their class; 0 trusts every label."
        ),
    )
    joint_embedding: JointEmbeddingConfig = Field(
        default=JointEmbeddingConfig(), description="The joint embedding space."
    )

    @model_validator(mode="after")
    def _pretrained_has_weights(self) -> TeacherConfig:
        is_pretrained = isinstance(self.extractor, PretrainedExtractorConfig)
        if is_pretrained and not has_pretrained_weights(self.backbone):
            msg = (
                f"extractor.kind = pretrained, but backbone {self.backbone.kind} has no pre-trained"
                " weights; give backbone.weights"
            )
            raise ValueError(msg)
        return self
