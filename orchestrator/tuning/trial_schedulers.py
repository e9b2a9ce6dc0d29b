"""Build the trial scheduler of a sweep, which decides which trials continue.

Depending on the kind of the trial scheduler, all trials continue, or only the better trials after
each rung, or variations of better trials replace worse trials. A rung is a task: Tune's training
iteration counts the tasks that a trial has learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, assert_never

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from orchestrator.config.trial_schedulers import (
    AshaConfig,
    MedianConfig,
    NoTrialSchedulerConfig,
    PbtConfig,
    TrialSchedulerConfig,
)

TIME_ATTRIBUTE = "training_iteration"
OBJECTIVE = "objective"


def build_trial_scheduler(
    config: TrialSchedulerConfig,
    mode: str,
    num_tasks: int,
    vary: Callable[[dict[str, Any]], dict[str, Any]],
) -> TrialScheduler:
    """Return Ray Tune's trial scheduler for a configuration.

    Args:
        config: The trial scheduler and its settings; its periods are in tasks.
        mode: `max` if a larger objective is better, `min` if a smaller one is.
        num_tasks: Number of tasks of the whole sequence.
        vary: For population-based training, returns the Tune configuration of a variation, given
            the Tune configuration of a better trial.
    """
    match config:
        case NoTrialSchedulerConfig():
            return FIFOScheduler()
        case AshaConfig():
            return _SuccessiveHalving(
                time_attr=TIME_ATTRIBUTE,
                metric=OBJECTIVE,
                mode=mode,
                max_t=num_tasks,
                grace_period=min(config.grace_tasks, num_tasks),
                reduction_factor=config.reduction_factor,
            )
        case MedianConfig():
            return MedianStoppingRule(
                time_attr=TIME_ATTRIBUTE,
                metric=OBJECTIVE,
                mode=mode,
                grace_period=config.grace_tasks,
                min_samples_required=config.min_trials,
            )
        case PbtConfig():
            return _PopulationBasedTraining(
                time_attr=TIME_ATTRIBUTE,
                metric=OBJECTIVE,
                mode=mode,
                perturbation_interval=config.perturbation_tasks,
                quantile_fraction=config.quantile_fraction,
                custom_explore_fn=vary,
                # Trials wait for each other before they are compared. Without the wait, the first
                # trials could learn all of their few tasks before trials that started later can be
                # compared with them.
                synch=True,
                log_config=False,
            )
        case _:
            assert_never(config)


class _SuccessiveHalving(AsyncHyperBandScheduler):  # type: ignore[misc] # Ray is not typed here
    """Tune's scheduler for successive halving, changed to ignore failed trials. A failed trial has
    no objective.
    """

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ANN401 - Tune's
        """Compare a finished trial with the other trials; remove a failed trial, which has no
        objective, from the comparison.
        """
        if math.isfinite(result[OBJECTIVE]):
            super().on_trial_complete(tune_controller, trial, result)
        else:
            self.on_trial_remove(tune_controller, trial)


class _PopulationBasedTraining(PopulationBasedTraining):  # type: ignore[misc] # Ray is not typed here
    """Tune's scheduler for population-based training, changed to accept a searcher.

    Tune rejects searchers, because they are not told of variations. The searcher of this program
    does not have to be told, because its trial source creates the variations.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ANN401 - Tune's
        """Add a trial to the population."""
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:  # noqa: ANN401 - Tune's
        """Return the next trial. If all trials are paused, they wait to be compared with a trial
        that has failed; let them continue without the comparison.
        """
        chosen = super().choose_trial_to_run(tune_controller)
        live = tune_controller.get_live_trials()
        if chosen is None and live and all(trial.status == Trial.PAUSED for trial in live):
            self._next_perturbation_sync += self._perturbation_interval
            chosen = super().choose_trial_to_run(tune_controller)
        return chosen
