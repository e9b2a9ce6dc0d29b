"""Read versions of registered models from an MLflow database, with the tags of the versions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from orchestrator.tracking.registry import VersionFacts
from orchestrator.tracking.sql.database import WORKSPACE, Database, Row

_DELETED = "Deleted_Internal"
_VERSIONS = (
    "FROM model_versions v WHERE v.workspace = :workspace AND v.current_stage <> :deleted AND"
)
_TAGS = (
    "SELECT t.name, t.version, t.key, t.value FROM ({page}) p JOIN model_version_tags t"
    " ON t.workspace = p.workspace AND t.name = p.name AND t.version = p.version"
)
_PER_PAGE = 200


def read_versions(
    database: Database, condition: str, order: str, **values: object
) -> Iterator[VersionFacts]:
    """Yield the versions that match a condition and are not deleted; read them page by page.

    Args:
        database: Database of the registry.
        condition: SQL condition on the table of versions, which has the alias `v`. Pass user input
            only in `values`.
        order: SQL columns for `ORDER BY`, which must give each version a unique place, because each
            page is read by a separate query.
        values: Values of the placeholders in the condition, by name.
    """
    bound = {"workspace": WORKSPACE, "deleted": _DELETED, **values}
    for number in count():
        page = (
            "SELECT v.workspace, v.name, v.version, v.run_id, v.source, v.storage_location,"
            f" v.creation_time {_VERSIONS} {condition}"
            f" ORDER BY {order} LIMIT {_PER_PAGE} OFFSET {number * _PER_PAGE}"
        )
        found = database.rows(page, **bound)
        tags: dict[tuple[str, int], dict[str, str]] = {}
        for row in database.rows(_TAGS.format(page=page), **bound):
            tags.setdefault((row["name"], row["version"]), {})[row["key"]] = row["value"]
        yield from (_facts(row, tags.get((row["name"], row["version"]), {})) for row in found)
        if len(found) < _PER_PAGE:
            return


def _facts(row: Row, tags: dict[str, str]) -> VersionFacts:
    return VersionFacts(
        str(row["version"]),
        row["run_id"] or "",
        tags,
        row["storage_location"] or row["source"] or "",
        int(row["creation_time"] or 0),
        row["name"],
    )
