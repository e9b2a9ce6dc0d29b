"""Build Optuna's samplers, and translate the directions of objectives for Optuna."""

from __future__ import annotations

import warnings
from typing import assert_never

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection

from orchestrator.config.search_space import SearchSpace
from orchestrator.config.searchers import (
    GridSearchConfig,
    OptunaSearchConfig,
    RandomSearchConfig,
    SearcherConfig,
)

GENERATION = "NSGAIISampler:generation"
"""Name of the system attribute in which Optuna's NSGA-II keeps the generation of a trial."""


def build_sampler(searcher: SearcherConfig, seed: int) -> BaseSampler:
    """Return Optuna's sampler for a searcher; for random and grid search, a random sampler."""
    match searcher:
        case RandomSearchConfig() | GridSearchConfig():
            return RandomSampler(seed=seed)
        case OptunaSearchConfig(sampler="nsga2"):
            population = max(2, searcher.num_startup_trials)
            return NSGAIISampler(population_size=population, seed=seed)
        case OptunaSearchConfig(sampler="gp"):
            return GPSampler(
                n_startup_trials=searcher.num_startup_trials,
                seed=seed,
                # Do not warn that conditional parameters are drawn independently of other
                # parameters: this is expected of Optuna's Gaussian-process sampler.
                warn_independent_sampling=False,
            )
        case OptunaSearchConfig():
            with warnings.catch_warnings():
                # Optuna warns that `group` is experimental. The option lets the sampler model
                # parameters jointly, even if some trials lack conditional parameters.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return TPESampler(
                    n_startup_trials=searcher.num_startup_trials,
                    multivariate=True,
                    group=True,
                    seed=seed,
                )
        case _:
            assert_never(searcher)


def directions_of(search_space: SearchSpace) -> list[StudyDirection]:
    """Return the direction of each objective, in the order of the search space."""
    return [
        StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE
        for mode in search_space.objectives.values()
    ]
