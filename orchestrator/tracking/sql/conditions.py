"""Convert a query for runs to SQL conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestrator.tracking.run_query import RunQuery

_AFTER_HEXADECIMAL = "g"
_TAGGED = "r.run_uuid IN (SELECT run_uuid FROM tags WHERE key = :key{number} AND value"
_HAS = "EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = r.run_uuid AND t.key = :key{number})"


class Conditions(NamedTuple):
    """SQL conditions on the table of runs, which has the alias `r`.

    Attributes:
        text: Conditions in SQL, joined by AND.
        values: Values of the placeholders in the text, by name.
    """

    text: str
    values: dict[str, Any]


def run_conditions(query: RunQuery) -> Conditions:
    """Convert a query to SQL conditions, which deleted runs never satisfy."""
    parts = ["r.lifecycle_stage = 'active'", "r.experiment_id IN :experiments"]
    values: dict[str, Any] = {"experiments": [int(number) for number in query.experiment_ids]}
    if query.run_id:
        parts.append("r.run_uuid = :run_id")
        values["run_id"] = query.run_id
    if query.run_id_prefix:  # a range of ids uses the index; LIKE would read all rows
        parts.append("r.run_uuid >= :first AND r.run_uuid < :after")
        values |= {
            "first": query.run_id_prefix,
            "after": query.run_id_prefix + _AFTER_HEXADECIMAL,
        }
    if query.status:
        parts.append("r.status = :status")
        values["status"] = query.status
    for number, (test, key, value) in enumerate(_tag_tests(query)):
        parts.append(test.format(number=number))
        values |= {f"key{number}": key} | ({} if value is None else {f"value{number}": value})
    return Conditions(" AND ".join(parts), values)


def _tag_tests(query: RunQuery) -> Iterator[tuple[str, str, str | None]]:
    """Yield (condition, key, value) for each tag of a query; the value is None if the condition has
    no placeholder for a value.

    The caller replaces `{number}` in each condition, so that the names of all placeholders differ.
    """
    for key, value in query.tags.items():
        yield f"{_TAGGED} = :value{{number}})", key, value
    for key, value in query.tag_prefixes.items():
        yield f"{_TAGGED} LIKE :value{{number}})", key, f"{value}%"
    for key in query.has_tags:
        yield _HAS, key, None
    for key in query.lacks_tags:
        yield f"NOT {_HAS}", key, None
