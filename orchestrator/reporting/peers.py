"""Compare a run with other finished runs on the same data, such as baselines and ablations.

The comparison is a table with one row per configuration. Runs that differ only in the seed share a
row, which shows the mean of their metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config.roles import ROLES, Role
from orchestrator.reporting.configuration import differences, same_but_for_the_seed
from orchestrator.reporting.quantities import mean_and_deviation
from orchestrator.tracking import RunStatus, names
from orchestrator.tracking.tracked_run import TrackedRun

_SCENARIO, _METHOD = "scenario.", "method.kind"
_MOST_DIFFERENCES = 3
_MOST_ROWS = 20


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One configuration in the table that compares runs.

    Attributes:
        label: For the reported run, `this configuration (METHOD)`. For others, the settings that
            differ from the reported run (their number if there are more than three), after the
            method if the method differs.
        seeds: The seeds of the configuration's finished runs, such as `0, 1`. A note follows if the
            reported run has not finished.
        numbers: The final metrics of the teacher, then the final metrics of the student. Each text
            is the mean ± standard deviation in percent.
        is_this: Whether this is the configuration of the reported run.
    """

    label: str
    seeds: str
    numbers: list[str]
    is_this: bool


def peer_rows(run: TrackedRun, others: Sequence[TrackedRun]) -> list[PeerRow]:
    """Return the rows of the table that compares a run with other runs; empty if no other run is
    comparable.

    The first row is the configuration of the reported run. Configurations with another method
    follow, then configurations with the same method; within both groups, those with the fewest
    changed settings come first. The table omits runs with another scenario (classes and class
    order), and configurations with the same method but more than three changed settings.

    Args:
        run: The reported run.
        others: Finished runs on the same data; may include `run`.
    """
    groups: dict[object, list[TrackedRun]] = {same_but_for_the_seed(run.parameters): [run]}
    for other in others:
        if other.run_id != run.run_id and _scenario(other) == _scenario(run):
            groups.setdefault(same_but_for_the_seed(other.parameters), []).append(other)
    own, *rest = groups.values()
    kept = [
        group
        for group in rest
        if group[0].method != run.method or len(_changes(run, group[0])) <= _MOST_DIFFERENCES
    ]
    kept.sort(
        key=lambda group: (
            group[0].method == run.method,
            len(_changes(run, group[0])),
            group[0].method,
        )
    )
    return (
        [_row(run, group) for group in [own, *kept[: _MOST_ROWS - 1]]]
        if kept or len(own) > 1
        else []
    )


def final_value(run: TrackedRun, role: Role, measure: names.FinalMeasure) -> float | None:
    """Return a run's final metric as a fraction: from the run's summary or, without a summary, from
    its MLflow metrics. Return None if the metric is not recorded.
    """
    if run.summary is not None and role in run.summary:
        return float(run.summary[role][measure])
    return run.metrics.get(names.final_metric(role, measure))


def _row(run: TrackedRun, group: Sequence[TrackedRun]) -> PeerRow:
    # Several runs of one configuration may have the same seed. Only one of these runs counts: the
    # reported run if it is among them, otherwise the newest run.
    newest_last = sorted(
        group,
        key=lambda member: (member is run, member.started.timestamp() if member.started else 0.0),
    )
    by_seed = {member.seed: member for member in newest_last if _has_finished(member)}
    members = list(by_seed.values())
    seeds = ", ".join(sorted(by_seed))
    if group[0] is run and not _has_finished(run):
        seeds = f"{seeds} (this run has not finished)".strip()
    numbers = []
    for role in ROLES:
        for measure in names.FINAL_MEASURES:
            values = [final_value(member, role, measure) for member in members]
            numbers.append(mean_and_deviation([value for value in values if value is not None]))
    return PeerRow(_label(run, group[0]), seeds, numbers, is_this=group[0] is run)


def _has_finished(run: TrackedRun) -> bool:
    """Return whether a run has finished with all final metrics. Only such runs enter the mean of
    their configuration.
    """
    return run.status == RunStatus.FINISHED.value and all(
        final_value(run, role, measure) is not None
        for role in ROLES
        for measure in names.FINAL_MEASURES
    )


def _label(run: TrackedRun, other: TrackedRun) -> str:
    if other is run:
        return f"this configuration ({run.method})"
    told = [f"{path} = {value}" for path, value in _changes(run, other).items() if path != _METHOD]
    settings = told if len(told) <= _MOST_DIFFERENCES else [f"{len(told)} other settings"]
    return ", ".join([other.method, *settings] if other.method != run.method else settings)


def _changes(run: TrackedRun, other: TrackedRun) -> dict[str, str]:
    own, others = (
        dict(same_but_for_the_seed(run.parameters)),
        dict(same_but_for_the_seed(other.parameters)),
    )
    return {setting.path: setting.values[1] for setting in differences([own, others])}


def _scenario(run: TrackedRun) -> dict[str, str]:
    return {path: value for path, value in run.parameters.items() if path.startswith(_SCENARIO)}
