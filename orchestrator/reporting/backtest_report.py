"""Report of a backtest: the gate's error rates, and every tick with its verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.config.roles import ROLES
from orchestrator.reporting.pages import render
from orchestrator.reporting.quantities import NOTHING, percent, percent_number

_MARKS = {"met": "✓", "violated": "✕"}


def backtest_report(content: Mapping[str, Any]) -> str:
    """Return the report as one HTML page.

    Args:
        content: The content of backtest.json.
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
    """Return the columns of all conditions that have a bound, in order of first appearance: for
    each column's name, the keys of its conditions. The conditions of teacher and student share a
    column.
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
    """Return the outcomes that occur in the replays, the usual outcomes first."""
    usual = ("promoted", "held", "asked", "rejected", "nothing_to_do")
    found = {outcome for row in content["summary"] for outcome in row["outcomes"]}
    return [*(outcome for outcome in usual if outcome in found), *sorted(found - set(usual))]


def replay_name(replay: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Return a name that identifies a replay: its order, share of wrong labels, and setting."""
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
    """Return the share of wrong labels of a row of the summary, as text; `none` if it is 0."""
    return percent(row["wrong_labels"]) if row["wrong_labels"] else "none"


def rate_text(rate: Mapping[str, Any] | None) -> str:
    """Return a rate with its interval in percent, such as `1 of 20, 5.0 % (0.1 – 24.9)`; a dash
    without a rate.
    """
    if rate is None or not rate["total"]:
        return NOTHING
    interval = f"{percent_number(rate['low'])} – {percent_number(rate['high'])}"
    return f"{rate['count']} of {rate['total']}, {percent(rate['share'])} ({interval})"


def verdict_text(tick: Mapping[str, Any], key: str) -> str:
    """Return a condition's value with a mark for met, violated or undecided: `97.6 ✓`, `42.0 ✕`,
    `96.1 ?`; a dash if the condition was not checked. Shares are in percent.
    """
    entry = _entry(tick, key)
    return NOTHING if entry is None else f"{_value(entry)} {_MARKS.get(entry['verdict'], '?')}"


def measured_text(tick: Mapping[str, Any], key: str) -> str:
    """Return a condition's mark (`✓`, `✕` or `?`), its value with confidence bounds, and the
    required bound.
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
