"""Result of a sweep, as values and as the content of summary.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.objective import metric_text
from orchestrator.config.search_space import SearchSpace
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.pipelines.sweep.studies import study_of
from orchestrator.tuning.front import chosen, front_of
from orchestrator.tuning.ledger import Ledger, LedgerTrial
from orchestrator.tuning.studies import StudyIdentity, loaded_study

if TYPE_CHECKING:
    import optuna
    import pandas as pd


@dataclass(frozen=True)
class SweepResult:
    """Result of a sweep.

    Attributes:
        summary: The content of summary.json.
        output_dir: Folder of summary.json, best.yaml, the ledger and the figures.
        ledger_trials: All trials, including those of earlier starts, by number.
        best: The finished trial with the best objective; with several objectives, the trial that
            the setting `choose` selects. None if no trial has finished.
        front: The finished trials that no other trial dominates, ordered by the first objective,
            the best first; with one objective, only the best trial.
        best_experiment: The complete experiment of `best`, with the first seed.
        identity: The Optuna storage and study of the sweep.
    """

    summary: dict[str, Any]
    output_dir: Path
    ledger_trials: Sequence[LedgerTrial]
    best: LedgerTrial | None
    front: Sequence[LedgerTrial]
    best_experiment: Experiment | None
    identity: StudyIdentity

    @property
    def trials(self) -> pd.DataFrame:
        """Return a table of all trials, including those of earlier starts, with one row per trial.
        Among the columns are the objectives, the parameters (by path) and the costs.
        """
        import pandas as pd  # noqa: PLC0415 - slow to import, and only this needs it

        objectives = self.identity.space.search_space.objectives
        rows = [_table_row(trial, list(objectives)) for trial in self.ledger_trials]
        return pd.DataFrame(rows, columns=None if rows else ["trial", "status", *objectives])

    @property
    def study(self) -> optuna.Study:
        """Return the sweep's Optuna study from the study's storage. If the storage is unreachable
        or lacks some of the trials, return a study in memory instead.
        """
        return loaded_study(self.identity, self.ledger_trials)


def result_of(setting: SweepSetting, ledger: Ledger, summary: dict[str, Any]) -> SweepResult:
    """Return the result of a sweep.

    Args:
        setting: The settings of the sweep.
        ledger: The ledger with all trials.
        summary: The result of `summary_of`.
    """
    best = best_of(setting.search_space, ledger)
    return SweepResult(
        summary,
        setting.output_dir,
        _by_number(ledger),
        best,
        front_of(ledger.trials.values(), setting.search_space),
        None if best is None else setting.space.experiments_of(best.parameters)[0],
        study_of(setting, summary["sweep_id"]),
    )


def best_of(search_space: SearchSpace, ledger: Ledger) -> LedgerTrial | None:
    """Return the finished trial with the best objective. With several objectives, return the trial
    of the Pareto front that the setting `choose` selects. Return None if no trial has finished.
    """
    return chosen(front_of(ledger.trials.values(), search_space), search_space)


def summary_of(search_space: SearchSpace, ledger: Ledger, sweep_id: str) -> dict[str, Any]:
    """Return the content of summary.json.

    Args:
        search_space: The search space.
        ledger: The ledger with all trials and the durations of all starts.
        sweep_id: Id of the sweep's run in MLflow.
    """
    trials, best = _by_number(ledger), best_of(search_space, ledger)
    is_several = search_space.metrics is not None
    return {
        "sweep_id": sweep_id,
        "name": search_space.name,
        "metric": metric_text(search_space.metric),
        "mode": search_space.mode,
        "split": search_space.split,
        "best": (
            None
            if best is None
            else {
                "trial": best.number,
                "value": best.value,
                "parameters": best.parameters,
                **({"values": best.values} if is_several else {}),
            }
        ),
        **_several(search_space, ledger),
        "trials": [_row(trial) for trial in trials],
        "wall_seconds": round(ledger.wall_seconds, 3),
        "worker_seconds": round(sum(trial.worker_seconds for trial in trials), 3),
    }


def _several(search_space: SearchSpace, ledger: Ledger) -> dict[str, Any]:
    """Return the entries of summary.json that only a sweep with several objectives has; empty for
    one objective.
    """
    if search_space.metrics is None:
        return {}
    front = front_of(ledger.trials.values(), search_space)
    return {
        "metrics": search_space.metrics,
        "choose": search_space.choose,
        "front": [trial.number for trial in front],
    }


def _table_row(trial: LedgerTrial, objectives: Sequence[str]) -> dict[str, Any]:
    values = trial.values or dict.fromkeys(objectives, trial.value)
    return {
        "trial": trial.number,
        "status": trial.status.value,
        **values,
        **trial.parameters,
        "seconds": trial.seconds,
        "worker_seconds_spent": trial.worker_seconds,
        "stages_computed": trial.stages_computed,
        "stages_cached": trial.stages_cached,
        "run_id": trial.run_id,
        "reason": trial.reason,
    }


def _row(trial: LedgerTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "run_id": trial.run_id,
        "status": trial.status.value,
        "value": trial.value,
        "parameters": trial.parameters,
        "stages_computed": trial.stages_computed,
        "stages_cached": trial.stages_cached,
        "seconds": trial.seconds,
        "worker_seconds": trial.worker_seconds,
        "curve": trial.curve,
        "reason": trial.reason,
        **({"values": trial.values} if trial.values else {}),
        **({"measured_on": trial.measured_on} if trial.measured_on else {}),
    }


def _by_number(ledger: Ledger) -> list[LedgerTrial]:
    return [ledger.trials[number] for number in sorted(ledger.trials)]
