"""Represent and order the trials of a sweep for figures and tables.

Only finished trials have comparable objectives, because a stopped trial has learned fewer tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config.objective import rank_key
from orchestrator.figures.texts import is_number

TRIALS_PER_PARAMETER = 20


@dataclass(frozen=True, slots=True)
class TrialRow:
    """Trial of a sweep, as figures and tables show it.

    Attributes:
        trial: Number of the trial.
        status: "finished", "stopped" or "failed".
        value: The trial's value of the objective; None if there is no value. If the sweep has
            several objectives, this is the first objective.
        parameters: JSON value of each parameter, by dotted path. A conditional parameter is missing
            if its condition is not met.
        curve: The objective after each task.
        teacher_curve: The teacher's test accuracy (fraction) after each task.
        student_curve: The student's test accuracy (fraction) after each task.
        values: Value of each objective by metric, if the sweep has several objectives; otherwise
            empty.
        in_front: Whether the trial lies on the Pareto front of a sweep with several objectives.
    """

    trial: int
    status: str
    value: float | None
    parameters: dict[str, Any]
    curve: list[float] = field(default_factory=list)
    teacher_curve: list[float] = field(default_factory=list)
    student_curve: list[float] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    in_front: bool = False


@dataclass(frozen=True, slots=True)
class Importance:
    """Importance of one parameter of a sweep.

    Attributes:
        share: How much the parameter decides whether a trial is among the best, relative to all
            parameters: the shares of all parameters sum to 1.
        low: Lower end of the 90 % interval of the share.
        high: Upper end of the 90 % interval of the share.
    """

    share: float
    low: float
    high: float


def best_first(trials: Sequence[TrialRow], mode: str) -> list[TrialRow]:
    """Return the finished trials, the best first; trials with equal objectives are ordered by their
    number.

    Args:
        trials: Trials in any order.
        mode: Whether higher ("max") or lower ("min") objectives are better.
    """
    return sorted(
        filter(is_finished, trials),
        key=lambda trial: rank_key(trial.value or 0.0, trial.trial, mode),
    )


def unfinished(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Return the unfinished trials: first the stopped ones, then the failed ones."""
    return sorted(
        (trial for trial in trials if not is_finished(trial)),
        key=lambda trial: (trial.status == "failed", trial.trial),
    )


def in_order(trials: Sequence[TrialRow], mode: str) -> list[TrialRow]:
    """Return all trials in order of rank: finished trials, the best first, and then unfinished
    trials. In a sweep with several objectives, the trials on the Pareto front come first.

    Args:
        trials: Trials in any order.
        mode: Whether higher ("max") or lower ("min") objectives are better.
    """
    ranked = sorted(best_first(trials, mode), key=lambda trial: not trial.in_front)
    return [*ranked, *unfinished(trials)]


def is_finished(trial: TrialRow) -> bool:
    """Return whether a trial has finished with an objective that can be compared with those of
    other trials.
    """
    return trial.status == "finished" and is_number(trial.value)


def num_finished(trials: Sequence[TrialRow]) -> int:
    """Return the number of trials that have finished with an objective."""
    return sum(map(is_finished, trials))


def importance_caveat(num_trials: int, num_parameters: int) -> str:
    """Return a warning that parameter importances are rough if the sweep has fewer than 20 finished
    trials per parameter; otherwise an empty text.

    Args:
        num_trials: Number of finished trials.
        num_parameters: Number of parameters that vary between trials.
    """
    if num_trials >= TRIALS_PER_PARAMETER * num_parameters:
        return ""
    parameters = f"{num_parameters} parameter{'s' * (num_parameters > 1)}"
    return (
        f"{num_trials} finished trials for {parameters}: with fewer than"
        f" {TRIALS_PER_PARAMETER} per parameter the shares are rough"
    )


def count_text(trials: Sequence[TrialRow]) -> str:
    """Return the number of trials of each status, in words."""
    counts = Counter(
        trial.status if trial.status != "finished" or is_finished(trial) else "without a value"
        for trial in trials
    )
    told = ", ".join(
        f"{counts[status]} {status}"
        for status in ("finished", "stopped", "failed", "without a value")
        if counts[status]
    )
    if counts["finished"]:
        return f"{len(trials)} trial{'s' * (len(trials) > 1)}: {told}"
    return f"No trial has finished ({told})" if trials else "No trial yet"
