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
    """Group the conditions of the promotion gate into the columns of a table with one row per tick
    (check for new files). Return the keys of each column's conditions, by column name.

    A condition on the teacher and the same condition on the student share a column. Conditions that
    never have a bound get no column. The columns are in the order in which their conditions first
    occur.
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
    """Return the distinct outcomes of all ticks of a backtest (a tick processes one arrival of
    files). Common outcomes such as `promoted` come first, all others follow alphabetically.
    """
    usual = ("promoted", "held", "asked", "rejected", "nothing_to_do")
    found = {outcome for row in content["summary"] for outcome in row["outcomes"]}
    return [*(outcome for outcome in usual if outcome in found), *sorted(found - set(usual))]


def replay_name(replay: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Return a name for one replay (simulation) of a backtest. The name says in which order the
    files arrive, which share of labels is wrong, and which setting the promotion gate has.
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
    """Return the share of injected wrong labels in one row of a backtest's summary, as text; `none`
    if the share is 0.
    """
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
    """Return the result of one condition of the promotion gate at one tick (check for new files):
    the measured value and a mark for the verdict. Examples are `97.6 ✓` (met), `42.0 ✕` (violated)
    and `96.1 ?` (undecided).

    A fraction is shown in percent. The result is a dash if the tick did not check the condition.
    """
    entry = _entry(tick, key)
    return NOTHING if entry is None else f"{_value(entry)} {_MARKS.get(entry['verdict'], '?')}"


def measured_text(tick: Mapping[str, Any], key: str) -> str:
    """Return the detailed result of one condition of the promotion gate at one tick (check for new
    files): the mark of the verdict (`✓`, `✕` or `?`), the measured value with its confidence
    bounds, and the required bound. The result is a dash if the tick did not check the condition.
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
