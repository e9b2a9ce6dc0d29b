"""Define the input of a sweep's report.

A sweep writes its summary only at its end. For an unfinished sweep, this module computes the
summary from the trials.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.objective import metric_text, rank_key
from orchestrator.config.objectives import are_in_front
from orchestrator.config.places import is_place
from orchestrator.figures.trials import Importance, TrialRow
from orchestrator.reporting.configuration import differences
from orchestrator.tracking import names
from orchestrator.tracking.tracked_run import TrackedRun

NUM_BEST = 5
NUM_CURVES = 50  # number of trials with accuracy curves; loading more curves would take seconds
_STATUS = {"FINISHED": "finished", "KILLED": "stopped", "FAILED": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class SweepFacts:
    """Input of a sweep's report.

    Attributes:
        run: MLflow run of the sweep itself, as opposed to the runs of its trials.
        summary: The content of the sweep's summary.json, or the result of `summary_of_trials`.
        search_space: The content of search_space.yaml; empty if unknown.
        rows: The sweep's trials. Only the best `NUM_CURVES` trials have accuracy curves.
        importances: Importance of each parameter, by dotted path, the most important parameter
            first; empty if unknown.
        best_yaml: Text of an experiment file with the best trial's configuration; empty if there is
            no best trial yet.
    """

    run: TrackedRun
    summary: Mapping[str, Any]
    search_space: Mapping[str, Any]
    rows: Sequence[TrialRow]
    importances: Mapping[str, Importance] = field(default_factory=dict)
    best_yaml: str = ""


def best_trials(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the finished trials, best first; among equally good trials, the earlier trial first.

    In a sweep with several objectives, the trials on the Pareto front come before all other trials;
    both groups are ordered by the first objective.
    """
    finished = [
        trial
        for trial in summary["trials"]
        if trial["status"] == "finished" and trial["value"] is not None
    ]
    front = set(summary.get("front", ()))
    return sorted(
        finished,
        key=lambda trial: (
            bool(front) and trial["trial"] not in front,
            rank_key(trial["value"], trial["trial"], summary["mode"]),
        ),
    )


def summary_of_trials(
    sweep: TrackedRun, trials: Sequence[TrackedRun], search_space: Mapping[str, Any]
) -> dict[str, Any]:
    """Compute the content of summary.json for a sweep that is still running or was killed.

    Args:
        sweep: MLflow run of the sweep itself.
        trials: MLflow runs of the sweep's trials.
        search_space: The content of search_space.yaml; empty if unknown. Without a search space,
            higher objectives count as better, and the settings that differ between trials count as
            the sweep's parameters.
    """
    varied = search_space.get("parameters") or [
        setting.path for setting in differences([trial.parameters for trial in trials])
    ]
    paths = [path for path in varied if not is_place(path)]
    summary: dict[str, Any] = {
        "sweep_id": sweep.run_id,
        "name": search_space.get("name", sweep.name),
        "metric": metric_text(search_space.get("metric", "objective")),
        "mode": search_space.get("mode", "max"),
        "split": search_space.get("split", "validation"),
        "trials": [_row_of(trial, paths) for trial in trials],
        "wall_seconds": sweep.seconds,
        "worker_seconds": sum(
            trial.metrics.get(names.FINAL_WORKER_SECONDS, 0.0) for trial in trials
        ),
    }
    if metrics := search_space.get("metrics"):
        summary |= {"metrics": metrics, "choose": search_space.get("choose"), "best": None}
        for row, trial in zip(summary["trials"], trials, strict=True):
            values = {name: trial.metrics.get(names.trial_value(name)) for name in metrics}
            row["values"] = (
                values if row["value"] is not None and None not in values.values() else {}
            )
        summary["front"] = _front(summary)
        return summary
    best = next(iter(best_trials(summary)), None)
    summary["best"] = best and {key: best[key] for key in ("trial", "value", "parameters")}
    return summary


def _front(summary: Mapping[str, Any]) -> list[int]:
    compared = [trial for trial in best_trials(summary) if trial["values"]]
    in_front = are_in_front([trial["values"] for trial in compared], summary["metrics"])
    return [
        trial["trial"] for trial, is_member in zip(compared, in_front, strict=True) if is_member
    ]


def _row_of(trial: TrackedRun, paths: Sequence[str]) -> dict[str, Any]:
    status = _STATUS.get(trial.status, trial.status.lower())
    return {
        "trial": int(trial.tags.get(names.TRIAL_TAG, "0")),
        "run_id": trial.run_id,
        "status": status,
        "value": trial.metrics.get(names.TRIAL_OBJECTIVE) if status == "finished" else None,
        "parameters": {
            path: _as_value(trial.parameters[path]) for path in paths if path in trial.parameters
        },
        "stages_computed": int(trial.metrics.get(names.TRIAL_STAGES_COMPUTED, 0)),
        "stages_cached": int(trial.metrics.get(names.TRIAL_STAGES_CACHED, 0)),
        "seconds": trial.metrics.get(names.TRIAL_SECONDS, trial.seconds or 0.0),
        "worker_seconds": trial.metrics.get(names.FINAL_WORKER_SECONDS, 0.0),
        "curve": [],
        "reason": trial.reason,
    }


def _as_value(text: str) -> Any:  # noqa: ANN401 - whatever the parameter was
    """Parse a parameter's value, such as a number or a list, from the text that MLflow stores."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
