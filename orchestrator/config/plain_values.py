"""Check and compare plain JSON values."""

from __future__ import annotations

import json


def require_plain(value: object) -> None:
    """Reject values that would not survive being written to JSON and read back."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        msg = (
            f"{value!r} is neither a finite number nor text, true, false, null, a list or a"
            " mapping; put dates in quotes"
        )
        raise ValueError(msg) from None
    if json.loads(text) != value:
        msg = f"{value!r} has keys that are not text; put them in quotes"
        raise ValueError(msg)


def hashable_of(value: object) -> object:
    """Return a hashable form of a plain value; two forms are equal if and only if the values are
    equal.
    """
    if isinstance(value, dict):
        return "mapping", frozenset((key, hashable_of(inner)) for key, inner in value.items())
    return tuple(map(hashable_of, value)) if isinstance(value, list | tuple) else value
