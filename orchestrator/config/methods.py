"""The choice of the method."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.extensions import MethodExtension, OpenUnion


class DualTeacherConfig(Config):
    """This project's method: the continually taught teacher and the student distilled from its two
    halves.
    """

    kind: Literal["dual_teacher"] = "dual_teacher"


class FinetuningConfig(Config):
    """Lower bound: train on each task's new classes and do nothing against forgetting."""

    kind: Literal["finetuning"] = "finetuning"


class NearestClassMeanConfig(Config):
    """Class means of the frozen features; the nearest one wins."""

    kind: Literal["nearest_class_mean"] = "nearest_class_mean"


class AnalyticConfig(Config):
    """Ridge regression on the frozen features, updated task by task in closed form (analytic
    learning: ACIL, RanPAC).
    """

    kind: Literal["analytic"] = "analytic"
    ridge: float = Field(
        default=0.003,
        gt=0,
        description="Ridge strength, added to the features' second-moment matrix.",
    )


class JointConfig(Config):
    """Upper bound: at every task, train from scratch on all data so far."""

    kind: Literal["joint"] = "joint"


BuiltInMethodConfig = Annotated[
    DualTeacherConfig | FinetuningConfig | NearestClassMeanConfig | AnalyticConfig | JointConfig,
    Field(discriminator="kind"),
]
MethodConfig = Annotated[
    BuiltInMethodConfig | MethodExtension, OpenUnion(MethodExtension, BuiltInMethodConfig)
]
