"""Trial schedulers: which trials of a sweep continue after a task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_TASKS, MOST_TRIALS


class NoTrialSchedulerConfig(Config):
    """Every trial learns all tasks."""

    kind: Literal["none"] = "none"


class AshaConfig(Config):
    """Successive halving without waiting: at each rung only the best go on."""

    kind: Literal["asha"] = "asha"
    grace_tasks: int = Field(
        default=2, ge=1, le=MOST_TASKS, description="Tasks that every trial learns; the first rung."
    )
    reduction_factor: int = Field(
        default=2,
        ge=2,
        le=MOST_TRIALS,
        description="One in so many goes on at a rung; from rung to rung the tasks multiply by it.",
    )


class MedianConfig(Config):
    """A trial ends when it is worse than the median of the others after as many tasks."""

    kind: Literal["median"] = "median"
    grace_tasks: int = Field(
        default=2, ge=1, le=MOST_TASKS, description="Tasks that every trial learns."
    )
    min_trials: int = Field(
        default=3,
        ge=1,
        le=MOST_TRIALS,
        description="Trials that must have come as far before one is judged.",
    )


class PbtConfig(Config):
    """Population-based training: now and then the worst go over to variations of the best."""

    kind: Literal["pbt"] = "pbt"
    perturbation_tasks: int = Field(
        default=1, ge=1, le=MOST_TASKS, description="Tasks between two comparisons."
    )
    quantile_fraction: float = Field(
        default=0.25, gt=0, le=0.5, description="Share of trials that are worst, and that are best."
    )
    resample_probability: float = Field(
        default=0.25, ge=0, le=1, description="How often a variation draws a value anew."
    )


TrialSchedulerConfig = Annotated[
    NoTrialSchedulerConfig | AshaConfig | MedianConfig | PbtConfig, Field(discriminator="kind")
]
