"""Conditions of the gate as the registry and summary.json have them, read back as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.reporting.history.facts import GateCondition


def conditions_of(rows: Sequence[Mapping[str, Any]]) -> list[GateCondition]:
    """Return the conditions of a list of their summaries, as summary.json and the registry have
    them.

    Raises:
        ValueError: A row is no summary of a condition.
    """
    try:
        return [_condition(row) for row in rows]
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"no summary of a condition ({error!r})"
        raise ValueError(msg) from None


def _condition(row: Mapping[str, Any]) -> GateCondition:
    value, lower, upper, bound = (
        None if row.get(name) is None else float(row[name])
        for name in ("value", "lower", "upper", "bound")
    )
    if value is None:
        msg = "value"
        raise KeyError(msg)
    is_met = row.get("met", True)
    verdict = row.get("verdict") or (
        "reported" if bound is None else "met" if is_met else "violated"
    )
    num_images = row.get("num_images")
    return GateCondition(
        str(row.get("condition", row.get("name", ""))),
        str(row.get("key", "")),
        value,
        lower,
        upper,
        bound,
        bool(row.get("is_upper", False)),
        str(verdict),
        None if num_images is None else int(num_images),
    )
