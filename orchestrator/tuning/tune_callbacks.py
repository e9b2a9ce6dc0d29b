"""Define the callbacks through which Ray Tune requests trials, checks whether to stop, and reports
events of trials.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from orchestrator.errors import LaneLostError, OrchestratorError
from orchestrator.tuning.trial import TaskReport
from orchestrator.tuning.trial_actor import TASKS_LEARNED
from orchestrator.tuning.trial_schedulers import OBJECTIVE
from orchestrator.tuning.trial_source import TrialSource, number_in
from orchestrator.tuning.trial_status import TrialStatus

MAX_RESTARTS = 2


class _OfThisProcess:
    """Base class of objects that Tune pickles but never restores. These objects are pickled without
    their state, because the state cannot be pickled.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Suggestions(_OfThisProcess, Searcher):  # type: ignore[misc] # Ray is not typed here
    """Give Tune one trial after another."""

    def __init__(self, source: TrialSource) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self._source = source

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - Tune's type: a configuration, or a mark for no more
        """Return the next trial as a Tune configuration."""
        planned = None if self._source.is_budget_spent() else self._source.next_trial()
        return planned.as_tune_config() if planned else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: `TuneListener` reports the end of the trial to the `TrialSource`."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger records the state of the sweep."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger records the state of the sweep."""


class BudgetStopper(_OfThisProcess, tune.Stopper):  # type: ignore[misc] # Ray is not typed here
    """End all trials when the budget is spent."""

    def __init__(self, source: TrialSource) -> None:
        self._source = source

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Return False: `stop_all` stops all trials together, never a single one."""
        return False

    def stop_all(self) -> bool:
        """Return whether the budget is spent. Tune calls this method after every result, and also
        at regular intervals.
        """
        return self._source.is_budget_spent()


class TuneListener(_OfThisProcess, tune.Callback):  # type: ignore[misc] # Ray is not typed here
    """Translate Tune's events into calls of a `TrialSource`.

    Attributes:
        source: Receives the events.
    """

    def __init__(self, source: TrialSource) -> None:
        self.source = source
        self._tasks_learned: dict[int, int] = {}
        self._running: dict[str, int] = {}
        self._ticked = 0.0

    def vary(self, tune_config: dict[str, Any]) -> dict[str, Any]:
        """Return a variation of a better trial, for population-based training."""
        return self.source.vary(number_in(tune_config)).as_tune_config()

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: object) -> None:
        """Call the method `tick` of the `TrialSource` at most once a second; Tune calls this method
        more often.
        """
        if time.monotonic() > self._ticked + 1:
            self._ticked = time.monotonic()
            self.source.tick()

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """Report that an actor has started the trial, also after a restart or a switch to another
        configuration.
        """
        number = number_in(trial.config)
        before = self._running.get(trial.trial_id)
        if before not in (None, number):
            self._end(
                trial,
                TrialStatus.STOPPED,
                f"switched to trial {number}, a variation of a better trial",
            )
        if before != number:
            self.source.trial_started(number)
            self._running[trial.trial_id] = number

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict[str, Any],
        **info: object,
    ) -> None:
        """Report that the trial has learned a task, and remove the report from Tune's result."""
        # Use the number that was recorded at the start of the trial. `trial.config` may already be
        # the configuration to which the trial switches next.
        number = self._running[trial.trial_id]
        # Tune allows callbacks to change the result. Remove the report, because Tune would keep the
        # report with every trial's last result, and also six statistics of each number in it.
        report = result.pop("report", None)
        if report is not None and result[TASKS_LEARNED] > self._tasks_learned.get(number, 0):
            self._tasks_learned[number] = result[TASKS_LEARNED]
            self.source.trial_reported(number, TaskReport(**report))

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """Report that the trial has learned all tasks, was stopped, or has failed."""
        result = trial.last_result or {}
        if "failure" in result:
            error: OrchestratorError = result["failure"]
            self._end(trial, TrialStatus.FAILED, str(error), error)
        elif result.get("is_last"):
            self._end(trial, TrialStatus.FINISHED, "")
        elif self.source.is_budget_spent():
            self._end(trial, TrialStatus.INTERRUPTED, "the budget is spent")
        else:
            self._end(
                trial,
                TrialStatus.STOPPED,
                f"by the trial scheduler after task {result.get(TASKS_LEARNED, 0)}",
            )

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        """Report that the trial failed more often than it may restart: its process died, or a
        service was unavailable.
        """
        # If the actor of a trial has died at every start, the start of the trial was never reported
        # to the `TrialSource`. The cause may be too little memory to import the modules. So first
        # report a start.
        if trial.trial_id not in self._running:
            self.on_trial_start(iteration, trials, trial)
        cause = _cause_of(trial.get_pickled_error())
        what = (
            f"the trial's process ended {MAX_RESTARTS + 1} times ({_first_line(cause)}):"
            " out of memory?"
        )
        error = (
            cause
            if isinstance(cause, OrchestratorError)
            else LaneLostError(what, f"trial {number_in(trial.config)}")
        )
        self._end(trial, TrialStatus.FAILED, str(error), error)

    def end_all(self) -> None:
        """Report every running trial as interrupted, even if the report of another trial fails."""
        with ExitStack() as endings:
            for number in self._running.values():
                endings.callback(
                    self.source.trial_ended, number, TrialStatus.INTERRUPTED, "interrupted"
                )
            self._running.clear()

    def _end(
        self,
        trial: TuneTrial,
        status: TrialStatus,
        reason: str,
        error: OrchestratorError | None = None,
    ) -> None:
        number = self._running.pop(trial.trial_id, None)
        if number is not None:
            self.source.trial_ended(number, status, reason, error)


def _cause_of(error: BaseException | None) -> BaseException | None:
    """Return the error raised in the trial, without Ray's wrapper."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
