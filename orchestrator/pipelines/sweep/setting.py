"""Settings of a sweep."""

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
    """Settings of a sweep.

    Attributes:
        search_space: The parameters and the objectives.
        experiment: The experiment that every trial modifies.
        space: The search space applied to the experiment.
        output_dir: Folder for ledger, summaries and figures.
        preparation: Cache with which all trials of this process prepare their works. A work is an
            experiment split into stages.
    """

    search_space: SearchSpace
    experiment: Experiment
    space: Space
    output_dir: Path
    preparation: Preparation = field(default_factory=Preparation)

    def works_of(self, parameters: Mapping[str, Any]) -> list[Work]:
        """Return the works of a configuration, one for each seed. A work is an experiment split
        into stages.

        Args:
            parameters: The configuration: the value of each parameter, by path.

        Raises:
            UserInputError: Configuration and data do not match.
            StorageUnavailableError: The data cache or the store cannot be reached.
        """
        return [
            self.preparation.work_of(experiment)
            for experiment in self.space.experiments_of(parameters)
        ]
