"""Searchers: how a sweep chooses its configurations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_TRIALS


class RandomSearchConfig(Config):
    """Every configuration drawn by itself."""

    kind: Literal["random"] = "random"
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Equal seeds draw equal configurations."
    )


class GridSearchConfig(Config):
    """Every combination of choices, integers and steps, the last parameter fastest."""

    kind: Literal["grid"] = "grid"


class OptunaSearchConfig(Config):
    """A sampler of Optuna: new configurations where the good ones have been so far."""

    kind: Literal["optuna"] = "optuna"
    sampler: Literal["tpe", "nsga2", "gp"] = Field(
        default="tpe",
        description=(
            "tpe: tree-structured Parzen estimator; nsga2: genetic, for many trials; gp: Gaussian"
            " process, for few and costly ones. Each for one or several metrics."
        ),
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Equal seeds and equal results draw equal configurations.",
    )
    num_startup_trials: int = Field(
        default=10,
        ge=1,
        le=MOST_TRIALS,
        description=(
            "Trials drawn at random before the sampler takes over; with nsga2 also the population."
        ),
    )


SearcherConfig = Annotated[
    RandomSearchConfig | GridSearchConfig | OptunaSearchConfig, Field(discriminator="kind")
]
