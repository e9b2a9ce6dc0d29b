"""Configure the learning method. Frozen features are the features of an extractor that no longer
learns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_DIMENSIONS, MOST_WEIGHT
from orchestrator.config.extensions import MethodExtension, OpenUnion


class DualTeacherConfig(Config):
    """This project's method: a teacher that learns continually, and a student distilled from the
    teacher's embedding and classifier.
    """

    kind: Literal["dual_teacher"] = "dual_teacher"


class FinetuningConfig(Config):
    """Lower bound of accuracy: training on each task's new classes, without protection from
    forgetting.
    """

    kind: Literal["finetuning"] = "finetuning"


class NearestClassMeanConfig(Config):
    """Classification of an image by the class mean that is nearest to the frozen features of the
    image.
    """

    kind: Literal["nearest_class_mean"] = "nearest_class_mean"


class AnalyticConfig(Config):
    """Ridge regression on the frozen features, updated task by task in closed form (analytic
    learning: ACIL, RanPAC).
    """

    kind: Literal["analytic"] = "analytic"
    ridge: float = Field(
        default=0.003,
        gt=0,
        le=MOST_WEIGHT,
        description="Ridge strength, added to the diagonal of the features' second-moment matrix.",
    )


class RanPacConfig(Config):
    """Ridge regression on a random nonlinear projection of the frozen features; the projection is
    never trained (RanPAC, McDonnell et al. 2023).
    """

    kind: Literal["ranpac"] = "ranpac"
    num_projections: int = Field(
        default=2000,
        ge=1,
        le=MOST_DIMENSIONS,
        description=(
            "Number of random features; time grows with its cube, memory with its square. The"
            " paper uses 10,000."
        ),
    )
    ridges: tuple[Annotated[float, Field(gt=0, le=MOST_WEIGHT)], ...] = Field(
        default=(0.001, 0.01, 0.1, 1.0, 10.0),
        min_length=1,
        description=(
            "Ridge strengths to choose from; after every task, the strength with the smallest"
            " error on held-out images of the task is chosen. A single strength is always used."
        ),
    )


class FeCamConfig(Config):
    """Mahalanobis distances with one covariance per class (FeCAM, Goswami et al. 2023)."""

    kind: Literal["fecam"] = "fecam"
    tukey_exponent: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Exponent of Tukey's transform of the features; 1 leaves them unchanged.",
    )
    variance_shrinkage: float = Field(
        default=1.0,
        gt=0,
        le=MOST_WEIGHT,
        description=(
            "Multiple of the mean variance added to the diagonal of every covariance (gamma 1)."
        ),
    )
    covariance_shrinkage: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description=(
            "Multiple of the mean covariance added off the diagonal (gamma 2); at most"
            " variance_shrinkage, otherwise distances could be negative."
        ),
    )

    @model_validator(mode="after")
    def _stays_positive(self) -> FeCamConfig:
        if self.covariance_shrinkage > self.variance_shrinkage:
            msg = (
                f"covariance_shrinkage = {self.covariance_shrinkage} exceeds variance_shrinkage ="
                f" {self.variance_shrinkage}: distances could be negative; lower it or raise"
                " variance_shrinkage"
            )
            raise ValueError(msg)
        return self


class LwfConfig(Config):
    """Training on each task's new classes, regularised by distilling the outputs of the previous
    network (learning without forgetting, Li and Hoiem 2016).
    """

    kind: Literal["lwf"] = "lwf"
    distillation_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST_WEIGHT,
        description="Weight of the distillation loss relative to the cross-entropy.",
    )
    temperature: float = Field(
        default=2.0,
        gt=0,
        le=MOST_WEIGHT,
        description="Temperature by which logits are divided before they are compared.",
    )


class JointConfig(Config):
    """Upper bound of accuracy: in every task, training from scratch on all data so far."""

    kind: Literal["joint"] = "joint"


BuiltInMethodConfig = Annotated[
    DualTeacherConfig
    | FinetuningConfig
    | NearestClassMeanConfig
    | AnalyticConfig
    | RanPacConfig
    | FeCamConfig
    | LwfConfig
    | JointConfig,
    Field(discriminator="kind"),
]
MethodConfig = Annotated[
    BuiltInMethodConfig | MethodExtension, OpenUnion(MethodExtension, BuiltInMethodConfig)
]
