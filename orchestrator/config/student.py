"""Configure the distillation of the student: patent A claim 8 and patent B [METHOD §3]."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.backbones import SmallCnnTinyConfig, StudentBackboneConfig
from orchestrator.config.base import Config
from orchestrator.config.bounds import (
    MOST_DIMENSIONS,
    MOST_IMAGES,
    MOST_STEPS,
    MOST_VIEWS,
    MOST_WEIGHT,
)
from orchestrator.config.training import Rehearsal, TrainingConfig
from orchestrator.config.transfer import ThresholdTransferConfig, TransferConfig


class TeachingConfig(Config):
    """Configure how inherited layers learn to foresee the teacher's final features: once, in the
    first task; with images without labels where there are some.
    """

    training: TrainingConfig = Field(
        default=TrainingConfig(epochs=6, learning_rate=0.0001, weight_decay=0.0001),
        description="Training of the last inherited stage; an epoch sees every view once.",
    )
    dimensions: int = Field(
        default=128,
        ge=1,
        le=MOST_DIMENSIONS,
        description="Widest directions of the final features to foresee.",
    )
    num_views: int = Field(
        default=6,
        ge=1,
        le=MOST_VIEWS,
        description="Seeded variations of every image; every second one is a mixture of two.",
    )
    max_images: int = Field(
        default=4000,
        ge=2,
        le=MOST_IMAGES,
        description="Most images to teach on; of more, so many are drawn at random.",
    )


class StudentConfig(Config):
    """The second, smaller model: distilled from the teacher's embedding and its classifier."""

    backbone: StudentBackboneConfig = Field(
        default=SmallCnnTinyConfig(), description="The feature extractor's architecture."
    )
    training: TrainingConfig = Field(
        default=TrainingConfig(epochs=40, learning_rate=0.004),
        description="Training of every task.",
    )
    teaching: TeachingConfig | None = Field(
        default=None,
        description=(
            "Whether inherited layers learn from the teacher's embedding [A claim 8], and how; null"
            " leaves them as they are. For a pre-trained teacher."
        ),
    )
    embedding_weight: float = Field(
        default=5.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of imitating the teacher's embedding [A claim 8]; 0 switches it off, and with"
            " it mixtures and anchors."
        ),
    )
    classifier_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of the classes, drawn to the teacher's through TSSR; 0 leaves the real answers"
            " alone, at weight 1."
        ),
    )
    prototype_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of classifying the teacher's augmented prototypes; 0 switches them off."
        ),
    )
    anchor_weight: float = Field(
        default=3.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of keeping the classifier near the teacher's class directions; 0 lets it go"
            " anywhere."
        ),
    )
    mixture_weight: float = Field(
        default=0.5,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of imitating the embedding of image mixtures, beside that of the images; 0"
            " mixes none. Without effect where the teacher's extractor is pre-trained: its features"
            " are computed beforehand, of single images."
        ),
    )
    augmentation_strength: float = Field(
        default=2.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "How many times as far as data.augmentation the student varies its images: one exemplar"
            " must go a long way."
        ),
    )
    consolidation: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description=(
            "How far to go from the weights before a task to the trained ones: old classes keep a"
            " say below 1."
        ),
    )
    stability_weight: float = Field(
        default=5.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of keeping the extractor's features of the batch as they were before the task,"
            " relative to their variance; 0 lets them drift."
        ),
    )
    classifier: Literal["closed_form", "taught"] = Field(
        default="closed_form",
        description=(
            "Which classifier the student answers with: closed_form, from its own features' class"
            " means and covariance, which follow their drift; or taught, the one that was"
            " distilled."
        ),
    )
    classifier_shrinkage: float = Field(
        default=0.03,
        gt=0,
        le=1,
        description=(
            "How far the closed form's covariance, of features divided by their deviations, is"
            " shrunk towards the identity where images are plenty."
        ),
    )
    few_images_shrinkage: float = Field(
        default=8.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "How much more an inherited student shrinks where images are few: added to the odds of"
            " `classifier_shrinkage`, times the covariance's effective dimensions per image that it"
            " was estimated from."
        ),
    )
    transfer_rounds: int = Field(
        default=4,
        ge=1,
        le=MOST_STEPS,
        description=(
            "How often an inherited student works through all images: TSTR is the share of these"
            " rounds that is done, and the targets of every round count equally."
        ),
    )
    rehearsal: float = Rehearsal
    temperature: float = Field(
        default=2.0,
        gt=0,
        le=MOST_WEIGHT,
        description="Softening of both distributions in STK and P.",
    )
    transfer: TransferConfig = Field(
        default=ThresholdTransferConfig(), description="How the transfer ratio TSSR is selected."
    )

    @property
    def has_both_teachers(self) -> bool:
        """Whether embedding and classes are both taught: only then are the teacher's class
        directions the student's.
        """
        return bool(self.embedding_weight and self.classifier_weight)
