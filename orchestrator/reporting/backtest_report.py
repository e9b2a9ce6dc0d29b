"""Render the report of a backtest, which replays past arrivals of a retraining through its
promotion gate. The report shows the gate's error rates, and the gate's verdicts at every tick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.config.roles import ROLES
from orchestrator.reporting.pages import render
from orchestrator.reporting.quantities import NOTHING, percent, percent_number

_MARKS = {"met": "✓", "violated": "✕"}


def backtest_report(content: Mapping[str, Any]) -> str:
    """Return the report of a backtest as one HTML page.

    Args:
        content: The content of the backtest's `backtest.json`.
    """
    return render(
        "backtest.html.j2",
        title=content["retraining"],
        content=content,
        columns=condition_columns(content["replays"]),
        outcomes=outcomes_of(content),
        replay_name=replay_name,
        rate=rate_text,
        verdict=verdict_text,
        measured=measured_text,
        labels=wrong_labels_text,
    )


def condition_columns(replays: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the columns of the table of ticks: a mapping from column name to condition keys.

    A teacher's condition and the student's counterpart share a column. Conditions that never have a
    bound get no column. The columns are in the order in which their conditions first occur.
    """
    columns: dict[str, list[str]] = {}
    for replay in replays:
        for tick in replay["ticks"]:
            for entry in tick["gate"]:
                role, _, rest = entry["key"].partition("_")
                keys = columns.setdefault(rest if role in ROLES else entry["key"], [])
                if entry["bound"] is not None and entry["key"] not in keys:
                    keys.append(entry["key"])
    return {name: keys for name, keys in columns.items() if keys}


def outcomes_of(content: Mapping[str, Any]) -> list[str]:
    """Return the tick outcomes that occur in the replays: common outcomes such as `promoted` come
    first, all others follow alphabetically.
    """
    usual = ("promoted", "held", "asked", "rejected", "nothing_to_do")
    found = {outcome for row in content["summary"] for outcome in row["outcomes"]}
    return [*(outcome for outcome in usual if outcome in found), *sorted(found - set(usual))]


def replay_name(replay: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Return a name that identifies a replay: the order of its arrivals, its share of wrong
    labels, and its gate setting.
    """
    by_date = list(range(len(content["past_arrivals"])))
    order = list(replay["order"])
    numbers = " ".join(str(index + 1) for index in order)
    parts = ["by date" if order == by_date else f"order {numbers}"]
    if replay["share"]:
        parts.append(f"{percent(replay['share'])} wrong labels")
    if replay["setting"]:
        parts.append(replay["setting"])
    return ", ".join(parts)


def wrong_labels_text(row: Mapping[str, Any]) -> str:
    """Return a summary row's share of wrong labels as text; `none` if the share is 0."""
    return percent(row["wrong_labels"]) if row["wrong_labels"] else "none"


def rate_text(rate: Mapping[str, Any] | None) -> str:
    """Return an error rate and its confidence interval as text, such as
    `1 of 20, 5.0 % (0.1 – 24.9)`; a dash if nothing was counted.
    """
    if rate is None or not rate["total"]:
        return NOTHING
    interval = f"{percent_number(rate['low'])} – {percent_number(rate['high'])}"
    return f"{rate['count']} of {rate['total']}, {percent(rate['share'])} ({interval})"


def verdict_text(tick: Mapping[str, Any], key: str) -> str:
    """Return the value of a tick's gate condition and a mark for the verdict: `97.6 ✓` (met),
    `42.0 ✕` (violated) or `96.1 ?` (undecided).

    A value that is a share is in percent. A condition that the tick did not check gives a dash.
    """
    entry = _entry(tick, key)
    return NOTHING if entry is None else f"{_value(entry)} {_MARKS.get(entry['verdict'], '?')}"


def measured_text(tick: Mapping[str, Any], key: str) -> str:
    """Return the details of a tick's gate condition: the mark of its verdict (`✓`, `✕` or `?`), the
    measured value with its confidence bounds, and the required bound.
    """
    entry = _entry(tick, key)
    if entry is None:
        return NOTHING
    return f"{_MARKS.get(entry['verdict'], '?')} {entry['measured']}, {entry['demanded']}"


def _entry(tick: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    found = (it for it in tick["gate"] if it["key"] == key and it["bound"] is not None)
    return next(found, None)


def _value(entry: Mapping[str, Any]) -> str:
    if entry["is_share"]:
        return percent_number(entry["value"])
    return str(entry["measured"])
