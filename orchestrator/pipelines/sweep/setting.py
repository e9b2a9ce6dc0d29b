"""What is asked of a sweep, and the sampler that draws its trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.search_space import SearchSpace
from orchestrator.stages import Preparation, Work
from orchestrator.tuning.ledger import LedgerTrial, ledger_of
from orchestrator.tuning.sampler import Sampler, Value
from orchestrator.tuning.space import Space


@dataclass(frozen=True)
class SweepSetting:
    """What is asked of a sweep.

    Attributes:
        search_space: What varies, and what is optimised.
        experiment: What is the same for all trials.
        space: The one over the other.
        output_dir: Where ledger, summaries and figures go.
        preparation: Shared by the works of all trials in this process.
    """

    search_space: SearchSpace
    experiment: Experiment
    space: Space
    output_dir: Path
    preparation: Preparation = field(default_factory=Preparation)

    def works_of(self, parameters: Mapping[str, Any]) -> list[Work]:
        """Return the works of a configuration, one for each seed.

        Args:
            parameters: The configuration, by path.

        Raises:
            UserInputError: Configuration and data do not go together.
            StorageUnavailableError: The data cache or the store cannot be reached.
        """
        return [
            self.preparation.work_of(experiment)
            for experiment in self.space.experiments_of(parameters)
        ]


def sampler_of(space: Space, trials: Iterable[LedgerTrial] = ()) -> Sampler:
    """Return a sampler that knows the finished trials of a warm start, and all trials of a ledger:
    an open one is resumed, not drawn again.

    Raises:
        ConfigError: There is no sweep in the folder of the warm start.
    """
    folder = space.search_space.warm_start
    earlier = (
        []
        if folder is None
        else [trial for trial in ledger_of(folder).trials.values() if not trial.is_open]
    )
    return Sampler(
        space, [(trial.configuration, told_value(space, trial)) for trial in [*earlier, *trials]]
    )


def told_value(space: Space, trial: LedgerTrial) -> Value:
    """Return a trial's objective, or several, as the sampler learns from them."""
    metrics = space.search_space.metrics
    if metrics is None or trial.value is None:
        return trial.value
    return [trial.values.get(name, math.nan) for name in metrics]
