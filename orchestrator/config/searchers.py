"""Configure the searchers, which choose the configurations of a sweep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_TRIALS


class RandomSearchConfig(Config):
    """Independent random configurations."""

    kind: Literal["random"] = "random"
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Seed; equal seeds draw equal configurations."
    )


class GridSearchConfig(Config):
    """Every combination of the parameters' values (choices, integers, steps); the last parameter
    varies fastest.
    """

    kind: Literal["grid"] = "grid"


class OptunaSearchConfig(Config):
    """Optuna sampler, which proposes configurations near the best configurations so far."""

    kind: Literal["optuna"] = "optuna"
    sampler: Literal["tpe", "nsga2", "gp"] = Field(
        default="tpe",
        description=(
            "tpe: tree-structured Parzen estimator; nsga2: genetic, for many trials; gp: Gaussian"
            " process, for few and costly trials, and for the front of several metrics (a proposal"
            " takes one to two seconds of CPU). Each supports one or several metrics."
        ),
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Seed; equal seeds and equal results draw equal configurations.",
    )
    num_startup_trials: int = Field(
        default=10,
        ge=1,
        le=MOST_TRIALS,
        description=(
            "Number of random trials before the sampler takes over; for nsga2 also the population"
            " size."
        ),
    )


SearcherConfig = Annotated[
    RandomSearchConfig | GridSearchConfig | OptunaSearchConfig, Field(discriminator="kind")
]
