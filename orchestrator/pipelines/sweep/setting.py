"""Hold the settings of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.search_space import SearchSpace
from orchestrator.stages import Preparation, Work
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
