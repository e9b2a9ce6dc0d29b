"""Render the report of a sweep: best trials, importance of each parameter, search space, cost, and
the time saved because trials share stages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.config.objective import BEST
from orchestrator.figures.texts import is_number, rounded, short_names
from orchestrator.figures.trials import in_order
from orchestrator.reporting.pages import render
from orchestrator.reporting.quantities import NOTHING
from orchestrator.reporting.scripts import chart_scripts
from orchestrator.reporting.sweep_charts import sweep_charts
from orchestrator.reporting.sweep_data import sweep_data
from orchestrator.reporting.sweep_facts import SweepFacts, best_trials

_MOST_ROWS = 20
_RULES = (
    *("searcher", "trial_scheduler", "num_trials", "seeds", "budget"),
    *("constraints", "bounds", "choose"),
)
# Limits on the trials that a page lists. They keep the page of a large sweep below 1.5 MB.
_MOST_TRIALS, _MOST_CELLS, _MOST_UNFINISHED = 1000, 9000, 200
_SCRIPTS = ("page", "selection", "parallel", "curves", "front", "importances", "leaderboard")


@dataclass(frozen=True, slots=True)
class Sharing:
    """Savings of a sweep whose trials reuse stored stages.

    Attributes:
        computed: Number of stages that trials computed.
        shared: Number of stages that trials reused instead of computing them.
        seconds_saved: Estimated saving in worker-seconds: number of reused stages × mean cost of a
            computed stage.
    """

    computed: int
    shared: int
    seconds_saved: float


def sweep_report(facts: SweepFacts) -> str:
    """Return the report of a sweep as one HTML page; an unfinished sweep is reported with its
    results so far.
    """
    summary, trials = facts.summary, facts.summary["trials"]
    varied = _varied(trials)
    num_listed = min(_MOST_TRIALS, _MOST_CELLS // (3 + len(varied)))
    ranked = best_trials(summary)
    others = [trial for trial in trials if trial["status"] != "finished"]
    return render(
        "sweep.html.j2",
        chart_scripts(*_SCRIPTS),
        data=sweep_data(_cut(facts, num_listed), varied),
        title=facts.run.name,
        run=facts.run,
        summary=summary,
        counts=Counter(trial["status"] for trial in trials).most_common(),
        paths=short_names(varied),
        leaders=[(trial, _shown(trial["parameters"], varied)) for trial in ranked[:num_listed]],
        num_unlisted=max(0, len(ranked) - num_listed),
        num_shown=_MOST_ROWS,
        objectives=summary.get("metrics", {}),
        front=summary.get("front", []),
        choice=_choice_text(summary.get("choose")),
        best=_best(summary),
        others=others[:_MOST_UNFINISHED],
        num_others_unlisted=max(0, len(others) - _MOST_UNFINISHED),
        charts=sweep_charts(facts),
        sharing=_sharing(trials),
        space=_space_rows(facts.search_space),
        rules=_rules(facts.search_space),
        best_yaml=facts.best_yaml,
    )


def _varied(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the dotted paths of the parameters that vary between trials. If no parameter varies,
    return the paths of all parameters.
    """
    paths = list(dict.fromkeys(path for trial in trials for path in trial["parameters"]))
    return [
        path
        for path in paths
        if len({json.dumps(trial["parameters"].get(path)) for trial in trials}) > 1
    ] or paths


def _cut(facts: SweepFacts, num_trials: int) -> SweepFacts:
    return replace(facts, rows=in_order(facts.rows, facts.summary["mode"])[:num_trials])


def value_text(value: Any) -> str:  # noqa: ANN401 - whatever a parameter may be
    """Return a parameter's value as text; numbers are rounded to four significant digits."""
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    return (
        rounded(float(value), 4)
        if is_number(value)
        else value
        if isinstance(value, str)
        else json.dumps(value)
    )


def _shown(parameters: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
    return [value_text(parameters[path]) if path in parameters else NOTHING for path in paths]


def _best(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    best = summary["best"]
    return (
        []
        if best is None
        else [(path, value_text(value)) for path, value in best["parameters"].items()]
    )


def _choice_text(choose: Mapping[str, str] | None) -> str:
    """Describe the rule by which a sweep chooses the best trial of its Pareto front; return an
    empty text if the sweep has no such rule.
    """
    if not choose:
        return ""
    bounds = [f"{name} {text}" for name, text in choose.items() if name != BEST]
    return " with ".join([f"best {choose[BEST]}", *([", ".join(bounds)] if bounds else [])])


def _sharing(trials: Sequence[Mapping[str, Any]]) -> Sharing:
    computed, shared = (
        sum(trial[key] for trial in trials) for key in ("stages_computed", "stages_cached")
    )
    worker_seconds = sum(trial["worker_seconds"] for trial in trials)
    return Sharing(computed, shared, shared * worker_seconds / computed if computed else 0.0)


def _space_rows(search_space: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the dotted path, the distribution and the condition of each parameter in the search
    space, as texts.
    """
    return [
        (path, _distribution(distribution), _condition(distribution.get("when") or {}))
        for path, distribution in search_space.get("parameters", {}).items()
    ]


def _distribution(distribution: Mapping[str, Any]) -> str:
    rest = {
        key: value
        for key, value in distribution.items()
        if key not in ("kind", "low", "high", "when") and value is not None
    }
    reach = (
        f" {value_text(distribution['low'])} … {value_text(distribution['high'])}"
        if {"low", "high"} <= set(distribution)
        else ""
    )
    told = ", ".join(
        value_text(value) if key == "values" else f"{key} {value_text(value)}"
        for key, value in rest.items()
    )
    return f"{distribution['kind']}{reach}" + (f" {told}" if told else "")


def _condition(when: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {value_text(value)}" for path, value in when.items())


def _rules(search_space: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the search settings of a search space, such as searcher, budget and constraints, as
    (name, text) pairs.
    """
    told = {key: search_space[key] for key in _RULES if search_space.get(key)}
    return [(key, _rule_text(value)) for key, value in told.items() if _rule_text(value)]


def _rule_text(value: object) -> str:
    if not isinstance(value, Mapping):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    rest = [
        f"{key} {value_text(item)}"
        for key, item in value.items()
        if key != "kind" and item is not None
    ]
    return ", ".join([str(value["kind"]), *rest] if "kind" in value else rest)
