"""Where trials come from, and who is told about them. No Ray here: this is what both sides of a
sweep agree on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.config.experiment import Experiment
from orchestrator.errors import OrchestratorError
from orchestrator.tuning.trial_status import TrialStatus

if TYPE_CHECKING:
    from orchestrator.tuning.trial import TaskReport


@dataclass(frozen=True)
class TrialPlan:
    """One trial, ready to be computed.

    Attributes:
        number: From 0, in the order of their beginning.
        experiments: The configuration with each of its seeds.
    """

    number: int
    experiments: list[Experiment]

    def as_tune_config(self) -> dict[str, Any]:
        """As Tune hands it on: one string, in which Tune does not look for parameters of its
        own.
        """
        values = {
            "number": self.number,
            "experiments": [experiment.model_dump(mode="json") for experiment in self.experiments],
        }
        return {"trial": json.dumps(values)}

    @classmethod
    def from_tune_config(cls, config: Mapping[str, Any]) -> TrialPlan:
        """What `as_tune_config` was made of."""
        values = json.loads(config["trial"])
        return cls(
            values["number"],
            [Experiment.model_validate(experiment) for experiment in values["experiments"]],
        )


def number_in(tune_config: Mapping[str, Any]) -> int:
    """Only the number."""
    return int(json.loads(tune_config["trial"])["number"])


class TrialSource(Protocol):
    """Gives trials and takes in what they tell; all in the process that started the sweep."""

    def next_trial(self) -> TrialPlan | None:
        """The next trial to compute; None when there are no more."""
        ...

    def vary(self, number: int) -> TrialPlan:
        """A new trial, a variation of one that did well: a worse one goes over to it."""
        ...

    def trial_started(self, number: int) -> None:
        """A worker has turned to it."""
        ...

    def trial_reported(self, number: int, report: TaskReport) -> None:
        """It has learned one more task."""
        ...

    def trial_ended(
        self, number: int, status: TrialStatus, reason: str, error: OrchestratorError | None = None
    ) -> None:
        """It is over, for now or for good."""
        ...

    def is_budget_spent(self) -> bool:
        """Whether to stop, with trials half-finished."""
        ...

    def tick(self) -> None:
        """Called about once a second: something may want to be shown."""
        ...
