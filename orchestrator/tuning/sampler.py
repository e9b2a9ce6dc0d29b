"""Choose the next configuration of a sweep at random, with one of Optuna's samplers, or from a
grid.

The sampler keeps one Optuna study in memory. After a crash, the study is rebuilt from the sweep's
ledger. So the sampler never depends on a study that another version of the program, or a sweep with
another search space, has written.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from orchestrator.config.searchers import GridSearchConfig, RandomSearchConfig
from orchestrator.config.trial_schedulers import PbtConfig
from orchestrator.figures.trials import Importance
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.dimensions import Dimension, Draws, drawn_at_random, lies_in, varied
from orchestrator.tuning.importances import importances_of
from orchestrator.tuning.optuna_samplers import GENERATION, build_sampler, directions_of
from orchestrator.tuning.space import MAX_REFUSALS, Space

# Number of draws of already tried configurations after which the sampler returns such a
# configuration again. In a small search space, all configurations have been tried at some time.
MAX_REPEATS = 100
# Largest number of draws by Optuna's sampler for one configuration; later draws are random.
MAX_PROPOSALS = 50

Value: TypeAlias = float | Sequence[float] | None
"""The objective of a trial, or several objectives in the order of the search space; None for a
failed trial.
"""


class Sampler:
    """Propose configurations, and learn from their objectives.

    Args:
        space: The space to sample.
        history: Configurations and objectives of earlier trials, of this sweep or another sweep. A
            trial is skipped if the space does not contain its point, or gives the point other
            parameters.
    """

    def __init__(self, space: Space, history: Sequence[tuple[Configuration, Value]] = ()) -> None:
        self._space = space
        self._known = {_key(configuration) for configuration, _ in history}
        self._running: defaultdict[str, list[optuna.Trial]] = defaultdict(list)
        searcher = space.search_space.searcher
        self._seed = getattr(searcher, "seed", 0)
        seed = _seed(self._seed, len(history))
        self._chance = random.Random(seed)  # noqa: S311 - draws, no secrets
        self._grid = space.grid() if isinstance(searcher, GridSearchConfig) else None
        self._is_random = isinstance(searcher, RandomSearchConfig)
        self._num_drawn = len(history)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._directions = directions_of(space.search_space)
        self._population = max(2, getattr(searcher, "num_startup_trials", 2))
        self._num_recorded = 0
        self._study = optuna.create_study(
            sampler=build_sampler(searcher, seed), directions=self._directions
        )
        for configuration, value in history:
            self._record(configuration, value)

    def ask(self, number: int | None = None) -> Configuration | None:
        """Return the next configuration to try; None if a grid has no more configurations.

        A configuration that was already tried or returned is returned again only if no other
        configuration is found.

        Args:
            number: Number of the trial; None means the next number. A random search seeds its draws
                with this number, so that a resumed search draws like an uninterrupted one.

        Raises:
            ConfigError: All drawn configurations were rejected; the message has the last reason.
        """
        if self._grid is not None:
            configuration = next(
                (point for point in self._grid if _key(point) not in self._known), None
            )
            self._known |= {_key(configuration)} if configuration else set()
            return configuration
        if self._is_random:
            self._chance.seed(f"{self._seed}:{self._num_drawn if number is None else number}")
        self._num_drawn += 1
        draws: Draws = {}
        repeated: list[tuple[Configuration, optuna.Trial | None]] = []
        for attempt in range(MAX_REFUSALS):
            # Optuna's sampler may keep proposing rejected points, so later draws are random.
            trial = self._study.ask() if attempt < MAX_PROPOSALS and not self._is_random else None
            draws = self._space.draw(partial(self._drawn, trial))
            configuration = self._space.configuration_of(draws)
            if configuration is None:
                # Keep the Optuna trial open, because Optuna's sampler avoids points of open trials.
                continue
            if _key(configuration) not in self._known:
                return self._asked(configuration, trial, repeated)
            repeated.append((configuration, trial))
            if len(repeated) == MAX_REPEATS:
                break
        if not repeated:
            raise self._space.no_configuration(
                draws, f"each of {MAX_REFUSALS} drawn configurations"
            )
        return self._asked(*repeated.pop(), repeated)

    def tell(self, configuration: Configuration, value: Value) -> None:
        """Record the objective of a configuration, whether this sampler proposed it or not.

        Args:
            configuration: The configuration.
            value: The objective or objectives; None (or no finite number) for a failed trial.
        """
        key = _key(configuration)
        self._known.add(key)
        if self._running[key]:
            # Discard the Optuna trial of this configuration, because its draws may be unsorted. The
            # call of `_record` below adds an Optuna trial with the configuration's sorted draws.
            self._study.tell(self._running[key].pop(), state=TrialState.FAIL)
        self._record(configuration, value)

    def perturbed(self, configuration: Configuration, chance: random.Random) -> Configuration:
        """Return a valid configuration near a given configuration, for population-based training.
        Return the given configuration if no other configuration is found.

        A number becomes a fifth larger or smaller, a choice changes to an adjacent choice, and some
        values are drawn at random.

        Args:
            configuration: The configuration to vary.
            chance: Source of randomness.
        """
        scheduler = self._space.search_space.trial_scheduler
        settings = scheduler if isinstance(scheduler, PbtConfig) else PbtConfig()

        def draw(name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
            before = configuration.draws.get(name)
            is_resampled = chance.random() < settings.resample_probability
            return (
                drawn_at_random(dimension, chance)
                if is_resampled or not lies_in(dimension, before)
                else varied(dimension, before, chance)
            )

        num_same = 0
        for _ in range(MAX_REFUSALS):
            near = self._space.configuration_of(self._space.draw(draw))
            if near is not None and near != configuration:
                return near
            num_same += near is not None
            if num_same == MAX_REPEATS:
                break
        return configuration

    def importances(self) -> dict[str, Importance]:
        """Return the importance of each parameter by path, the most important first, as
        `importances_of` does.
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return importances_of(complete, self._study.directions)

    def _drawn(self, trial: optuna.Trial | None, name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
        return (
            drawn_at_random(dimension, self._chance)
            if trial is None
            else _suggested(trial, name, dimension)
        )

    def _asked(
        self,
        configuration: Configuration,
        trial: optuna.Trial | None,
        repeated: Sequence[tuple[Configuration, optuna.Trial | None]],
    ) -> Configuration:
        for unused in (unused for _, unused in repeated if unused):
            self._study.tell(unused, state=TrialState.FAIL)
        self._known.add(_key(configuration))
        if trial is not None:
            self._running[_key(configuration)].append(trial)
        return configuration

    def _record(self, configuration: Configuration, value: Value) -> None:
        values = [value] if isinstance(value, int | float) else [*(value or ())]
        if len(values) != len(self._directions) or not all(map(math.isfinite, values)):
            return
        if not self._is_the_same_here(configuration):
            return
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=values,
                params=configuration.draws,
                distributions=dict(self._space.dimensions(configuration.draws)),
                # Trials are assigned to generations in the order in which the trials end, also in a
                # resumed sweep.
                system_attrs={GENERATION: self._num_recorded // self._population},
            )
        )
        self._num_recorded += 1

    def _is_the_same_here(self, configuration: Configuration) -> bool:
        if not self._space.contains(configuration.draws):
            return False
        here = self._space.configuration_of(configuration.draws, is_bounded=False)
        return here is not None and _key(here) == _key(configuration)


def _key(configuration: Configuration) -> str:
    return json.dumps(configuration.parameters, sort_keys=True)


def _seed(seed: int, num_earlier: int) -> int:
    """Return a seed that differs after each resume: an equal seed would repeat the draws."""
    digest = hashlib.sha256(f"{seed}:{num_earlier}".encode()).digest()
    return int.from_bytes(digest[:4], "big") if num_earlier else seed


def _suggested(trial: optuna.Trial, name: str, dimension: Dimension) -> Any:  # noqa: ANN401 - any plain JSON value
    if isinstance(dimension, CategoricalDistribution):
        return trial.suggest_categorical(name, dimension.choices)
    if isinstance(dimension, IntDistribution):
        return int(
            trial.suggest_int(
                name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
            )
        )
    return float(
        trial.suggest_float(
            name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    )
