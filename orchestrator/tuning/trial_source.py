"""The interface between both sides of a sweep: one gives trials, the other computes them.

It imports no ray.
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
    """One trial, ready to be computed.

    Attributes:
        number: From 0, in the order of their beginning.
        experiments: The configuration with each of its seeds.
        known: Objectives that are known before it learns, such as the size of its student.
    """

    number: int
    experiments: list[Experiment]
    known: Mapping[str, float] = field(default_factory=dict)

    def as_tune_config(self) -> dict[str, Any]:
        """Return it as Tune passes it on: one string, in which Tune does not look for parameters of
        its own. Tune writes it to files, so it has no secrets of addresses.
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
        """Return the trial of which `as_tune_config` made this.

        Args:
            config: What it made.
            secrets: Those of the experiment from which all trials vary, by path.
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
    """Return only the number of the trial."""
    return int(json.loads(tune_config["trial"])["number"])


class TrialSource(Protocol):
    """Give trials and receive their events; all in the process that started the sweep."""

    def next_trial(self) -> TrialPlan | None:
        """Return the next trial to compute; None when there are no more."""
        ...

    def vary(self, number: int) -> TrialPlan:
        """Return a new trial, a variation of one that did well; a worse one switches to it."""
        ...

    def trial_started(self, number: int) -> None:
        """Receive that a worker has begun a trial."""
        ...

    def trial_reported(self, number: int, report: TaskReport) -> None:
        """Receive that a trial has learned one more task."""
        ...

    def trial_ended(
        self, number: int, status: TrialStatus, reason: str, error: OrchestratorError | None = None
    ) -> None:
        """Receive that a trial has ended, for now or for good."""
        ...

    def is_budget_spent(self) -> bool:
        """Return whether to stop, with trials half-finished."""
        ...

    def tick(self) -> None:
        """Receive that about a second has passed."""
        ...
