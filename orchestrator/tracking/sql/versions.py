"""Versions of a database's model registry, with their tags."""

from __future__ import annotations

from orchestrator.tracking.registry import VersionFacts
from orchestrator.tracking.sql.database import WORKSPACE, Database, Row

_DELETED = "Deleted_Internal"
_VERSIONS = (
    "FROM model_versions v WHERE v.workspace = :workspace AND v.current_stage <> :deleted AND"
)
_TAGS = (
    "SELECT t.name, t.version, t.key, t.value FROM model_version_tags t"
    " WHERE t.workspace = :workspace"
)


def read_versions(
    database: Database, condition: str, order: str, **values: object
) -> list[VersionFacts]:
    """Return the versions that match a condition and were not deleted.

    Args:
        database: Database of the registry.
        condition: SQL on the table `v`; user input must be passed as values.
        order: SQL of the order.
        values: Values by their names in the condition.
    """
    bound = {"workspace": WORKSPACE, "deleted": _DELETED, **values}
    found = database.rows(
        "SELECT v.name, v.version, v.run_id, v.source, v.storage_location, v.creation_time"
        f" {_VERSIONS} {condition} ORDER BY {order}",
        **bound,
    )
    tags: dict[tuple[str, int], dict[str, str]] = {}
    fits = f"{_VERSIONS} {condition} AND v.name = t.name AND v.version = t.version"
    for row in database.rows(f"{_TAGS} AND EXISTS (SELECT 1 {fits})", **bound):
        tags.setdefault((row["name"], row["version"]), {})[row["key"]] = row["value"]
    return [_facts(row, tags.get((row["name"], row["version"]), {})) for row in found]


def _facts(row: Row, tags: dict[str, str]) -> VersionFacts:
    return VersionFacts(
        str(row["version"]),
        row["run_id"] or "",
        tags,
        row["storage_location"] or row["source"] or "",
        int(row["creation_time"] or 0),
        row["name"],
    )
