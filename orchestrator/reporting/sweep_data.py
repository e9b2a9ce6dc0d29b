"""Collect the data that the scripts of a sweep's page need to draw, filter and sort trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.config.objective import scale_of
from orchestrator.figures.parallel_axes import ParallelAxis
from orchestrator.figures.parallel_coordinates import objective_colours, sweep_axes
from orchestrator.figures.texts import short_names, shortened
from orchestrator.figures.trials import Importance, TrialRow, in_order, is_finished
from orchestrator.reporting.quantities import objective_text
from orchestrator.reporting.sweep_facts import NUM_BEST, SweepFacts

_DIGITS = 6


def sweep_data(facts: SweepFacts, varied: Sequence[str]) -> dict[str, Any]:
    """Return the data of a sweep's page as plain JSON values. NaN and infinity become None, because
    JSON has neither.

    Args:
        facts: The results of the sweep.
        varied: Dotted paths of the parameters that the leaderboard shows.
    """
    summary = facts.summary
    mode, metrics = summary["mode"], [*summary.get("metrics", [summary["metric"]])]
    ordered = in_order(facts.rows, mode)
    finished = list(filter(is_finished, ordered))
    values = [trial.value or 0.0 for trial in finished]
    costs = {trial["trial"]: trial for trial in summary["trials"]}
    columns = sweep_axes(ordered, metrics) if ordered else []
    data = {
        "numBest": NUM_BEST,
        "numFinished": len(finished),
        "best": summary["best"] and summary["best"]["trial"],
        "objectives": [_objective(metric, ordered, len(metrics) > 1) for metric in metrics],
        "trials": _trials(ordered, costs),
        "parameters": [
            {
                "path": path,
                "name": name,
                "values": [_parameter(trial.parameters, path) for trial in ordered],
            }
            for path, name in short_names(varied).items()
        ],
        "axes": [
            _axis(column, len(ordered), column in columns[-len(metrics) :]) for column in columns
        ],
        "colours": {
            "light": objective_colours(values, mode),
            "dark": objective_colours(values, mode, on_dark=True),
        },
        "importances": _importances(facts.importances),
    }
    plain: dict[str, Any] = _plain(data)
    return plain


def _objective(metric: str, ordered: Sequence[TrialRow], is_one_of_several: bool) -> dict[str, Any]:
    label, factor = scale_of(metric)
    values = [
        trial.values.get(metric, trial.value) if is_finished(trial) else None for trial in ordered
    ]
    return {
        "name": metric if is_one_of_several else "objective",
        "factor": factor,
        "unit": label.partition(" in ")[2],
        "values": values,
        "texts": [objective_text(value, metric) for value in values],
    }


def _trials(ordered: Sequence[TrialRow], costs: Mapping[int, Any]) -> dict[str, list[Any]]:
    """Return the trials as columns: one list per property. Columns make the page smaller than rows,
    which would repeat the name of every property.
    """
    cost = [costs.get(trial.trial, {}) for trial in ordered]
    return {
        "number": [trial.trial for trial in ordered],
        "status": [trial.status for trial in ordered],
        "front": [trial.in_front for trial in ordered],
        "seconds": [round(one.get("seconds", 0.0), 1) for one in cost],
        "computed": [one.get("stages_computed", 0) for one in cost],
        "reused": [one.get("stages_cached", 0) for one in cost],
        "teacher": [trial.teacher_curve for trial in ordered],
        "student": [trial.student_curve for trial in ordered],
        "curve": [[] if trial.student_curve else trial.curve for trial in ordered],
    }


def _parameter(parameters: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - plain JSON values
    """Return the value of a trial's parameter. A value of None becomes the text "null"; a parameter
    that the trial lacks gives None.
    """
    return "null" if path in parameters and parameters[path] is None else parameters.get(path)


def _axis(column: ParallelAxis, num_trials: int, is_objective: bool) -> dict[str, Any]:
    is_whole = len(column.heights) == num_trials
    return {
        "name": column.name,
        "ticks": [
            [round(height, 4), shortened(text).replace("\n", "")] for height, text in column.ticks
        ],
        "heights": [
            round(column.heights[place], 3) if place in column.heights else None
            for place in range(num_trials)
        ],
        "unset": "" if is_whole else "unfinished" if is_objective else "not set",
    }


def _importances(importances: Mapping[str, Importance]) -> list[dict[str, Any]]:
    names = short_names(list(importances))
    return [
        {"name": names[path], "share": one.share, "low": one.low, "high": one.high}
        for path, one in importances.items()
    ]


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain JSON values
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
