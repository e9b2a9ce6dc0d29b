"""Look up values in an experiment's tree by dotted path, and check conditions on these values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ABSENT = object()


def value_at(tree: object, keys: Sequence[str]) -> object:
    """Return the value at a path; `ABSENT` if a part of the path is missing.

    Args:
        tree: Nested JSON values.
        keys: The parts of the dotted path.
    """
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return ABSENT
        tree = tree[key]
    return tree


def meets(value: object, wanted: object) -> bool:
    """Return whether a value equals `wanted` or, if `wanted` is a list, one of its items."""
    return value == wanted or (isinstance(wanted, list) and value in wanted)
