"""Configure how the student is distilled from the teacher, after patents A and B.

Section 3 of docs/method.md explains the distillation. `[A claim 8]` cites claim 8 of patent A.
"""

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
    """Training of inherited layers to predict the teacher's final features. This training happens
    once, in the first task. It also uses unlabelled images if the data have any.
    """

    training: TrainingConfig = Field(
        default=TrainingConfig(epochs=6, learning_rate=0.0001, weight_decay=0.0001),
        description="Training of the last inherited stage; an epoch covers every view once.",
    )
    dimensions: int = Field(
        default=128,
        ge=1,
        le=MOST_DIMENSIONS,
        description="Number of leading principal directions of the final features to predict.",
    )
    num_views: int = Field(
        default=6,
        ge=1,
        le=MOST_VIEWS,
        description=(
            "Number of seeded augmented views of every image; every second view is a mixture of"
            " two images."
        ),
    )
    max_images: int = Field(
        default=4000,
        ge=2,
        le=MOST_IMAGES,
        description=(
            "Largest number of images to train on; if there are more, they are drawn at random."
        ),
    )


class StudentConfig(Config):
    """The student: the smaller model, distilled from the teacher's embedding and classifier."""

    backbone: StudentBackboneConfig = Field(
        default=SmallCnnTinyConfig(), description="The feature extractor's architecture."
    )
    training: TrainingConfig = Field(
        default=TrainingConfig(epochs=40, learning_rate=0.004),
        description="Training in every task.",
    )
    teaching: TeachingConfig | None = Field(
        default=None,
        description=(
            "Training of inherited layers on the teacher's embedding [A claim 8], for a"
            " pre-trained teacher; null leaves the layers unchanged."
        ),
    )
    embedding_weight: float = Field(
        default=5.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of imitating the teacher's embedding [A claim 8]; 0 disables it, and with it"
            " mixture_weight and anchor_weight."
        ),
    )
    classifier_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of the classification loss, whose targets TSSR mixes from the teacher's"
            " answers and the labels; 0 uses the labels alone, with weight 1."
        ),
    )
    prototype_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of classifying the teacher's augmented prototypes; 0 disables it.",
    )
    anchor_weight: float = Field(
        default=3.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of keeping the classifier close to the teacher's class directions; 0 disables"
            " it."
        ),
    )
    mixture_weight: float = Field(
        default=0.5,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of imitating the embeddings of image mixtures, relative to those of the"
            " images; 0 disables mixtures. No effect if the teacher's extractor is pre-trained,"
            " because its features are precomputed for single images."
        ),
    )
    augmentation_strength: float = Field(
        default=2.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Factor by which the student strengthens data.augmentation, because it has only one"
            " exemplar per old class."
        ),
    )
    consolidation: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description=(
            "Share of the trained weights in the student's final weights; the rest are the weights"
            " before the task. Below 1, old classes are better preserved."
        ),
    )
    stability_weight: float = Field(
        default=5.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Weight of the penalty on the change of a batch's features since the start of the task,"
            " relative to the features' variance; 0 disables the penalty."
        ),
    )
    classifier: Literal["closed_form", "taught"] = Field(
        default="closed_form",
        description=(
            "Classifier of the final student: closed_form computes it from the class means and"
            " covariance of the student's own features, and follows the drift of these features;"
            " taught uses the distilled classifier."
        ),
    )
    classifier_shrinkage: float = Field(
        default=0.03,
        gt=0,
        le=1,
        description=(
            "Shrinkage of the closed form's correlation matrix towards the identity if images are"
            " plentiful."
        ),
    )
    few_images_shrinkage: float = Field(
        default=8.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Additional shrinkage of an inherited student when images are few: this value times"
            " the covariance's effective dimensions per image is added to the odds of"
            " `classifier_shrinkage`."
        ),
    )
    transfer_rounds: int = Field(
        default=4,
        ge=1,
        le=MOST_STEPS,
        description=(
            "Number of passes of an inherited student over all images; TSTR is the share of"
            " completed passes, and the targets of all passes count equally."
        ),
    )
    rehearsal: float = Rehearsal
    temperature: float = Field(
        default=2.0,
        gt=0,
        le=MOST_WEIGHT,
        description=(
            "Temperature that softens the class probabilities of teacher (STK) and student (P)."
        ),
    )
    transfer: TransferConfig = Field(
        default=ThresholdTransferConfig(), description="Rule that selects the transfer ratio TSSR."
    )

    @property
    def has_both_teachers(self) -> bool:
        """Return whether the student imitates both the teacher's embedding and the teacher's class
        probabilities. Only then can the student use the class directions (one vector per class) of
        the teacher's classifier.
        """
        return bool(self.embedding_weight and self.classifier_weight)
