"""Values in an experiment's tree by dotted path, and conditions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ABSENT = object()


def value_at(tree: object, keys: Sequence[str]) -> object:
    """Return the value below some keys, `ABSENT` if a key is missing.

    Args:
        tree: Plain JSON values.
        keys: The parts of a dotted path.
    """
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return ABSENT
        tree = tree[key]
    return tree


def meets(value: object, wanted: object) -> bool:
    """Return whether a value meets a condition: equal to it, or to a value in its list."""
    return value == wanted or (isinstance(wanted, list) and value in wanted)
