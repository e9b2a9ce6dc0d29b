"""Define the interface between the two sides of a sweep: one side provides trials, the other
computes them.

This module does not import ray.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.config.experiment import Experiment
from orchestrator.errors import OrchestratorError
from orchestrator.masking import shown_values, with_secrets
from orchestrator.tuning.trial_status import TrialStatus

if TYPE_CHECKING:
    from orchestrator.tuning.trial import TaskReport


@dataclass(frozen=True)
class TrialPlan:
    """One trial, ready for computation.

    Attributes:
        number: Number of the trial; trials are numbered from 0 in the order of their starts.
        experiments: Experiments of the configuration, one for each seed.
        known: Costs of the trial that are known before training, such as the student's size.
    """

    number: int
    experiments: list[Experiment]
    known: Mapping[str, float] = field(default_factory=dict)

    def as_tune_config(self) -> dict[str, Any]:
        """Return the trial as a Tune configuration with a single string, because Tune would look
        for search parameters in nested values.

        The string contains no secrets of addresses, because Tune writes the string to files.
        """
        values = {
            "number": self.number,
            "experiments": [
                shown_values(experiment.model_dump(mode="json")) for experiment in self.experiments
            ],
            "known": dict(self.known),
        }
        return {"trial": json.dumps(values)}

    @classmethod
    def from_tune_config(
        cls, config: Mapping[str, Any], secrets: Mapping[str, str] | None = None
    ) -> TrialPlan:
        """Rebuild a trial from its Tune configuration, the result of `as_tune_config`.

        Args:
            config: The Tune configuration.
            secrets: Secrets to restore in the trial's experiments: the secrets of the sweep's base
                experiment, by dotted path.
        """
        values = json.loads(config["trial"])
        return cls(
            values["number"],
            [
                Experiment.model_validate(with_secrets(experiment, secrets or {}))
                for experiment in values["experiments"]
            ],
            values["known"],
        )


def number_in(tune_config: Mapping[str, Any]) -> int:
    """Return the number of the trial in a Tune configuration."""
    return int(json.loads(tune_config["trial"])["number"])


class TrialSource(Protocol):
    """Provides trials and receives their events, in the process that started the sweep."""

    def next_trial(self) -> TrialPlan | None:
        """Return the next trial to compute; None if there are no more."""
        ...

    def vary(self, number: int) -> TrialPlan:
        """Return a new trial, a variation of the good trial `number`, to replace a worse trial."""
        ...

    def trial_started(self, number: int) -> None:
        """Record that a worker has started a trial."""
        ...

    def trial_reported(self, number: int, report: TaskReport) -> None:
        """Record that a trial has learned one more task."""
        ...

    def trial_ended(
        self, number: int, status: TrialStatus, reason: str, error: OrchestratorError | None = None
    ) -> None:
        """Record that a trial has ended, for good or until the sweep is resumed."""
        ...

    def is_budget_spent(self) -> bool:
        """Return whether the sweep must stop because its budget is spent, even if trials are still
        running.
        """
        ...

    def tick(self) -> None:
        """Handle a clock tick, about once a second."""
        ...
