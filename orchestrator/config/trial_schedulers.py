"""Configure the trial schedulers of a sweep. After each task, a trial scheduler decides which
trials continue.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_TASKS, MOST_TRIALS


class NoTrialSchedulerConfig(Config):
    """No early stopping: every trial learns all tasks."""

    kind: Literal["none"] = "none"


class AshaConfig(Config):
    """Asynchronous successive halving: only the best trials continue at each rung."""

    kind: Literal["asha"] = "asha"
    grace_tasks: int = Field(
        default=2,
        ge=1,
        le=MOST_TASKS,
        description="Number of tasks that every trial learns; the first rung.",
    )
    reduction_factor: int = Field(
        default=2,
        ge=2,
        le=MOST_TRIALS,
        description=(
            "One in this many trials continues at each rung; the number of tasks grows by this"
            " factor from rung to rung."
        ),
    )


class MedianConfig(Config):
    """Median stopping: a trial ends if it is worse than the median of the other trials after the
    same number of tasks.
    """

    kind: Literal["median"] = "median"
    grace_tasks: int = Field(
        default=2, ge=1, le=MOST_TASKS, description="Number of tasks that every trial learns."
    )
    min_trials: int = Field(
        default=3,
        ge=1,
        le=MOST_TRIALS,
        description=(
            "Number of trials that must have learned the same number of tasks before a trial is"
            " judged."
        ),
    )


class PbtConfig(Config):
    """Population-based training: at intervals, the worst trials are replaced by copies of the best
    trials with modified settings.
    """

    kind: Literal["pbt"] = "pbt"
    perturbation_tasks: int = Field(
        default=1,
        ge=1,
        le=MOST_TASKS,
        description="Number of tasks between two comparisons of the trials.",
    )
    quantile_fraction: float = Field(
        default=0.25,
        gt=0,
        le=0.5,
        description="Share of trials that counts as the worst, and as the best.",
    )
    resample_probability: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Probability that a variation draws a value again instead of perturbing it.",
    )


TrialSchedulerConfig = Annotated[
    NoTrialSchedulerConfig | AshaConfig | MedianConfig | PbtConfig, Field(discriminator="kind")
]
