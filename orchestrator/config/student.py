"""How the student is distilled: patent A claim 8 and patent B, METHOD section 3."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.config.backbones import BackboneConfig, SmallCnnTinyConfig
from orchestrator.config.base import Config
from orchestrator.config.training import Rehearsal, TrainingConfig

Fraction = Annotated[float, Field(ge=0, le=1)]
Similarity = Literal["jensen_shannon", "cosine"]


class _TransferConfig(Config):
    similarity: Similarity = Field(
        default="jensen_shannon",
        description="How KDR compares teacher and student: 1 - JS divergence / ln 2, or cosine.",
    )


class ThresholdTransferConfig(_TransferConfig):
    """TSSR from a table: rows by similarity (KDR), columns by training progress (TSTR) [B step
    5].
    """

    kind: Literal["threshold"] = "threshold"
    similarity_thresholds: tuple[Fraction, ...] = Field(
        default=(0.9, 0.97), description="Ascending limits in KDR between the rows."
    )
    progress_thresholds: tuple[Fraction, ...] = Field(
        default=(0.3, 0.7), description="Ascending limits in TSTR between the columns."
    )
    ratios: tuple[tuple[Fraction, ...], ...] = Field(
        default=((1.0, 0.9, 0.7), (0.9, 0.7, 0.5), (0.7, 0.5, 0.3)),
        description=(
            "ratios[similarity][progress]; may grow neither with similarity nor with progress."
        ),
    )

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> ThresholdTransferConfig:
        for name in ("similarity_thresholds", "progress_thresholds"):
            thresholds = getattr(self, name)
            for index, (lower, upper) in enumerate(pairwise(thresholds)):
                if lower >= upper:
                    msg = (
                        f"{name}[{index}] = {lower} is not below {name}[{index + 1}] = {upper};"
                        " list them in ascending order"
                    )
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_ratio_per_cell(self) -> ThresholdTransferConfig:
        num_rows, num_columns = (
            len(self.similarity_thresholds) + 1,
            len(self.progress_thresholds) + 1,
        )
        if len(self.ratios) != num_rows:
            msg = (
                f"ratios has {len(self.ratios)} rows; {num_rows - 1} similarity_thresholds cut KDR"
                f" into {num_rows}"
            )
            raise ValueError(msg)
        for index, row in enumerate(self.ratios):
            if len(row) != num_columns:
                msg = (
                    f"ratios[{index}] has {len(row)} values; {num_columns - 1} progress_thresholds"
                    f" cut TSTR into {num_columns}"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _ratios_do_not_grow(self) -> ThresholdTransferConfig:
        for i, row in enumerate(self.ratios):
            for j, ratio in enumerate(row):
                if i and ratio > self.ratios[i - 1][j]:
                    raise ValueError(
                        _grows(
                            f"ratios[{i}][{j}]",
                            ratio,
                            f"ratios[{i - 1}][{j}]",
                            self.ratios[i - 1][j],
                            "similarity",
                        )
                    )
                if j and ratio > row[j - 1]:
                    raise ValueError(
                        _grows(
                            f"ratios[{i}][{j}]",
                            ratio,
                            f"ratios[{i}][{j - 1}]",
                            row[j - 1],
                            "progress",
                        )
                    )
        return self


def _grows(larger_name: str, larger: float, smaller_name: str, smaller: float, axis: str) -> str:
    return (
        f"{larger_name} = {larger} exceeds {smaller_name} = {smaller}: the ratio may not grow with"
        f" {axis}; swap them or lower it"
    )


class FixedTransferConfig(_TransferConfig):
    """One TSSR for the whole training: plain distillation, the baseline to beat."""

    kind: Literal["fixed"] = "fixed"
    ratio: Fraction = Field(default=0.5, description="The TSSR.")


class LinearTransferConfig(_TransferConfig):
    """TSSR falls in a straight line with training progress, whatever the similarity."""

    kind: Literal["linear"] = "linear"
    start: Fraction = Field(default=1.0, description="TSSR at the first step.")
    end: Fraction = Field(default=0.0, description="TSSR at the end of the stage.")

    @model_validator(mode="after")
    def _falls(self) -> LinearTransferConfig:
        if self.end > self.start:
            msg = (
                f"end = {self.end} exceeds start = {self.start}: the ratio may not grow with"
                " progress; swap them"
            )
            raise ValueError(msg)
        return self


TransferConfig = Annotated[
    ThresholdTransferConfig | FixedTransferConfig | LinearTransferConfig,
    Field(discriminator="kind"),
]


class StudentConfig(Config):
    """The second, smaller model: distilled from the teacher's embedding and its classifier."""

    backbone: BackboneConfig = Field(
        default=SmallCnnTinyConfig(), description="The feature extractor's architecture."
    )
    training: TrainingConfig = Field(
        default=TrainingConfig(epochs=40, learning_rate=0.004),
        description="Training of every task.",
    )
    embedding_weight: float = Field(
        default=5.0,
        ge=0,
        description=(
            "Weight of imitating the teacher's embedding [A claim 8]; 0 switches it off, and with"
            " it mixtures and anchors."
        ),
    )
    classifier_weight: float = Field(
        default=1.0,
        ge=0,
        description=(
            "Weight of the classes, drawn to the teacher's through TSSR; 0 leaves the real answers"
            " alone, at weight 1."
        ),
    )
    prototype_weight: float = Field(
        default=1.0,
        ge=0,
        description=(
            "Weight of classifying the teacher's augmented prototypes; 0 switches them off."
        ),
    )
    anchor_weight: float = Field(
        default=3.0,
        ge=0,
        description=(
            "Weight of keeping the classifier near the teacher's class directions; 0 lets it go"
            " anywhere."
        ),
    )
    mixture_weight: float = Field(
        default=0.5,
        ge=0,
        description=(
            "Weight of imitating the embedding of image mixtures, beside that of the images; 0"
            " mixes none. Without effect where the teacher's extractor is pre-trained: its features"
            " are computed beforehand, of single images."
        ),
    )
    augmentation_strength: float = Field(
        default=2.0,
        ge=0,
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
        description="How far the closed form's covariance is shrunk towards an isotropic one.",
    )
    rehearsal: float = Rehearsal
    temperature: float = Field(
        default=2.0, gt=0, description="Softening of both distributions in STK and P."
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
