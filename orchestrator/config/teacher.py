"""Configure the learning of the teacher: patent A [METHOD §2]."""

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
    """Learnable vectors around each old prototype, optimised through the old classifier [A claims
    4, 5].
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
        default=0.05, ge=0, le=MOST_RATE, description="Of the vectors' own optimiser; 0 moves none."
    )
    num_steps: int = Field(
        default=30, ge=0, le=MOST_STEPS, description="Steps of the vectors before each task."
    )
    margin: float = Field(
        default=0.1,
        ge=0,
        le=2,
        description="Lead in cosine that the old classifier must keep for the vector's class.",
    )
    separation_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of keeping away from the new classes' embeddings.",
    )
    diversity_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of keeping a class's vectors apart from each other.",
    )


class RandomAugmentationConfig(Config):
    """The same vectors as drawn from the class's spread, not optimised."""

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
    """Only the bare prototype stands for an old class."""

    kind: Literal["none"] = "none"


PrototypeAugmentationConfig = Annotated[
    AdaptiveAugmentationConfig | RandomAugmentationConfig | NoAugmentationConfig,
    Field(discriminator="kind"),
]


class ObservedSpreadConfig(Config):
    """Nothing is kept: deviations of the new task's images from their class means stand for those
    of old classes. Needs no root of a covariance; refinement was measured to lose more by it.
    """

    kind: Literal["observed"] = "observed"


class SharedSpreadConfig(Config):
    """One within-class covariance for all classes (features x features numbers in all)."""

    kind: Literal["shared"] = "shared"


class ScalarSpreadConfig(Config):
    """One radius per class: the smallest memory."""

    kind: Literal["scalar"] = "scalar"


class LowRankSpreadConfig(Config):
    """The main directions of each class's own spread (rank x features numbers a class)."""

    kind: Literal["low_rank"] = "low_rank"
    rank: int = Field(default=8, ge=1, le=MOST_DIMENSIONS, description="Directions kept per class.")


SpreadConfig = Annotated[
    ObservedSpreadConfig | SharedSpreadConfig | ScalarSpreadConfig | LowRankSpreadConfig,
    Field(discriminator="kind"),
]


class JointEmbeddingConfig(Config):
    """The space in which classes are pushed apart and pulled together [A claims 1, 7]."""

    dimensions: Annotated[int, Field(ge=2, le=8192)] | None = Field(
        default=512,
        description=(
            "Dimensions of the joint embedding space; null gives it as many as the extractor has"
            " features."
        ),
    )
    pull_margin: float = Field(
        default=0.5,
        ge=0,
        le=2,
        description="Distance to the class centre below which nothing pulls.",
    )
    push_margin: float = Field(
        default=1.2, ge=0, le=2, description="Distance between classes above which nothing pushes."
    )
    weight: float = Field(
        default=0.1,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of push and pull beside the cross-entropy; 0 switches both off.",
    )
    keep_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of staying close to the previous embedding.",
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
            "How much more where images are few: added to the odds of `shrinkage`, times the"
            " covariance's effective dimensions per image that it was estimated from. 0 suits"
            " features that were learned on such images, about 8 pre-trained final features, about"
            " 24 pre-trained features of all stages."
        ),
    )
    adapter_width: int = Field(
        default=64, ge=1, le=MOST_DIMENSIONS, description="Hidden units of the residual adapter."
    )

    def dimensions_for(self, num_features: int) -> int:
        """Return the dimensions of the space over so many features."""
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
    """The feature extractor learns in the first task and never again [A §67]."""

    kind: Literal["frozen"] = "frozen"


class PretrainedExtractorConfig(Config):
    """The feature extractor is used as it comes, with the pre-trained weights of its backbone, and
    never learns.

    What it makes of the images is then computed once for each data set, and shared by all runs and
    trials.
    """

    kind: Literal["pretrained"] = "pretrained"


class FineTunedExtractorConfig(Config):
    """The feature extractor goes on learning in every task, held back by feature distillation."""

    kind: Literal["fine_tuned"] = "fine_tuned"
    learning_rate_fraction: float = Field(
        default=0.1, gt=0, le=1, description="Learning rate, as a share of the first task's."
    )
    distillation_weight: float = Field(
        default=10.0, ge=0, le=MOST_WEIGHT, description="Weight of keeping the previous features."
    )


ExtractorConfig = Annotated[
    FrozenExtractorConfig | PretrainedExtractorConfig | FineTunedExtractorConfig,
    Field(discriminator="kind"),
]


class TeacherConfig(Config):
    """The first model: continually taught [A claims 1 to 7]."""

    backbone: BackboneConfig = Field(
        default=SmallCnnConfig(), description="The feature extractor's architecture."
    )
    extractor: ExtractorConfig = Field(
        default=FrozenExtractorConfig(), description="Whether and when the extractor learns."
    )
    self_supervision: Literal["rotation", "none"] = Field(
        default="rotation",
        description=(
            "rotation: in the first task, every class counts four times, once per quarter turn."
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
            "Keep of each refinement only as much as helps on held-out features; false keeps all"
            " of it."
        ),
    )
    num_views: int = Field(
        default=8,
        ge=0,
        le=MOST_VIEWS,
        description="Augmented views of every training image; 0 uses the images as they are.",
    )
    view_weight: float = Field(
        default=40.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Images' worth of trust in the views' mean: a class of n images weighs them by w / (w"
            " + n)."
        ),
    )
    spread: SpreadConfig = Field(
        default=SharedSpreadConfig(),
        description="Where the deviations of augmented prototypes come from.",
    )
    augmentation: PrototypeAugmentationConfig = Field(
        default=AdaptiveAugmentationConfig(), description="How old prototypes are augmented."
    )
    agreement_rounds: int = Field(
        default=2,
        ge=0,
        le=MOST_STEPS,
        description=(
            "Rounds in which images whose features contradict their labels lose weight in their"
            " class's mean and spread; 0 trusts every label."
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
