"""Read the conditions of the promotion gate, as recorded in the registry or in summary.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.reporting.history.facts import GateCondition

# Records of earlier releases do not say whether the value of a gate condition is a fraction. The
# value is not a fraction if the condition's key or name ends with one of these texts.
_NO_SHARES = ("parameters", "_ms", "milliseconds for one image")


def conditions_of(rows: Sequence[Mapping[str, Any]]) -> list[GateCondition]:
    """Parse recorded gate conditions.

    Args:
        rows: One JSON object per condition, from summary.json or from the registry.

    Raises:
        ValueError: An object is not a condition.
    """
    try:
        return [_condition(row) for row in rows]
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"not a condition of the gate ({error!r})"
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
    name, key = str(row.get("condition", row.get("name", ""))), str(row.get("key", ""))
    return GateCondition(
        name,
        key,
        value,
        lower,
        upper,
        bound,
        bool(row.get("is_upper", False)),
        str(verdict),
        bool(row.get("is_share", not (key or name).endswith(_NO_SHARES))),
        *(None if row.get(it) is None else int(row[it]) for it in ("num_images", "more_images")),
    )
