"""Read experiments, runs and student versions from an MLflow database."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.masking import shown
from orchestrator.tracking.preflight import unavailable
from orchestrator.tracking.registry import VersionFacts
from orchestrator.tracking.run_query import Records, RunQuery
from orchestrator.tracking.sql.conditions import run_conditions
from orchestrator.tracking.sql.database import WORKSPACE, Database, Row, chunks
from orchestrator.tracking.sql.files import local_folder
from orchestrator.tracking.sql.versions import read_versions
from orchestrator.tracking.tracked_run import History, TrackedRun

_STUDENTS = "%-student"
_RUNS = "SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time, r.experiment_id FROM runs r"
_VALUES_PER_QUERY = 500


class DatabaseRecords:
    """Implements `run_query.Records` in SQL.

    Attributes:
        uri: URI of the store.
    """

    def __init__(self, database: Database, mlflow: Callable[[], Records]) -> None:
        """Keep the arguments, without querying the database yet.

        Args:
            database: Database of the store.
            mlflow: Function that opens the same store through MLflow, for artifacts that are not in
                a local folder.
        """
        self.uri = database.uri
        self._database = database
        self._open = mlflow

    def experiments(self) -> Mapping[str, str]:
        """Return the names of the experiments, by id; query them only once."""
        return self._experiments

    def runs(self, query: RunQuery) -> Iterator[TrackedRun]:
        """Read the runs that match a query, page by page, with parameters, metrics and tags."""
        conditions = run_conditions(query)
        offset = 0
        while query.experiment_ids:
            page = self._database.rows(
                f"{_RUNS} WHERE {conditions.text}"
                " ORDER BY COALESCE(r.start_time, 0) DESC, r.run_uuid LIMIT :limit OFFSET :offset",
                limit=query.per_page,
                offset=offset,
                **conditions.values,
            )
            yield from self._tracked(page)
            if len(page) < query.per_page:
                return
            offset += len(page)

    def experiments_of(self, run_ids: AbstractSet[str]) -> dict[str, str]:
        """Query the name of each run's experiment, by run id."""
        return {
            row["run_uuid"]: self._experiments[str(row["experiment_id"])]
            for ids in chunks(sorted(run_ids), _VALUES_PER_QUERY)
            for row in self._database.rows(
                "SELECT run_uuid, experiment_id FROM runs"
                " WHERE run_uuid IN :ids AND lifecycle_stage = 'active'",
                ids=ids,
            )
            if str(row["experiment_id"]) in self._experiments
        }

    def histories(self, run_id: str, metric_names: Sequence[str]) -> dict[str, History]:
        """Query the histories of metrics, many metrics in one statement."""
        found: dict[str, dict[int, float]] = {name: {} for name in metric_names}
        for keys in chunks(metric_names, _VALUES_PER_QUERY):
            for row in self._database.rows(
                "SELECT key, step, value, is_nan FROM metrics"
                # Because of `key || ''`, SQLite does not use the index on the key: with this index,
                # SQLite would read the metrics of all runs.
                " WHERE run_uuid = :run AND key || '' IN :keys ORDER BY timestamp, step, value",
                run=run_id,
                keys=keys,
            ):
                found[row["key"]][row["step"]] = _number(row)
        return {name: sorted(points.items()) for name, points in found.items()}

    def list_files(self, run_id: str, folder: str = "") -> set[str]:
        """List the files in a folder of a run's artifacts. Use MLflow if the artifacts are not in a
        local folder.
        """
        place = self._artifacts(run_id)
        if place is None:
            return self._mlflow.list_files(run_id, folder)
        try:
            return {
                file.relative_to(place).as_posix()
                for file in (place / folder).iterdir()
                if file.is_file()
            }
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise unavailable(self.uri, error) from error

    def read_files(self, run_id: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Read artifacts of a run from a local folder; use MLflow for a folder elsewhere."""
        place = self._artifacts(run_id)
        if place is None:
            return self._mlflow.read_files(run_id, paths)
        try:
            return {path: (place / path).read_bytes() for path in paths}
        except OSError as error:
            raise unavailable(self.uri, error) from error

    def student_aliases(self) -> dict[str, dict[str, str]]:
        """Query the version number of each alias, by student model and by alias."""
        values = {"workspace": WORKSPACE, "names": _STUDENTS}
        models = self._database.rows(
            "SELECT name FROM registered_models"
            " WHERE workspace = :workspace AND name LIKE :names ORDER BY name",
            **values,
        )
        found: dict[str, dict[str, str]] = {row["name"]: {} for row in models}
        for row in self._database.rows(
            "SELECT name, alias, version FROM registered_model_aliases"
            " WHERE workspace = :workspace AND name LIKE :names",
            **values,
        ):
            found[row["name"]][row["alias"]] = str(row["version"])
        return found

    def version(self, model: str, version: str) -> VersionFacts:
        """Query one version of a registered model."""
        found = read_versions(
            self._database,
            "v.name = :name AND v.version = :version",
            "v.version",
            name=model,
            version=int(version),
        )
        facts = next(found, None)
        if facts is None:
            raise OrchestratorError(f"there is no {model} version {version}", shown(self.uri))
        return facts

    def students_with_tag(self, tag: str) -> Iterator[VersionFacts]:
        """Query the student versions that have a tag with this key, page by page."""
        tagged = (
            "v.name LIKE :names AND EXISTS (SELECT 1 FROM model_version_tags g"
            " WHERE g.workspace = v.workspace AND g.key = :tag AND g.name = v.name"
            " AND g.version = v.version)"
        )
        order = "COALESCE(v.creation_time, 0) DESC, v.name, v.version DESC"
        yield from read_versions(self._database, tagged, order, names=_STUDENTS, tag=tag)

    # --- internals --------------------------------------------------------------------------------

    @cached_property
    def _mlflow(self) -> Records:
        return self._open()

    @cached_property
    def _experiments(self) -> dict[str, str]:
        rows = self._database.rows(
            "SELECT experiment_id, name FROM experiments"
            " WHERE lifecycle_stage = 'active' AND workspace = :workspace",
            workspace=WORKSPACE,
        )
        return {str(row["experiment_id"]): row["name"] for row in rows}

    def _artifacts(self, run_id: str) -> Path | None:
        row = self._database.row("SELECT artifact_uri FROM runs WHERE run_uuid = :run", run=run_id)
        return local_folder(row["artifact_uri"] or "") if row else None

    def _tracked(self, rows: Sequence[Row]) -> list[TrackedRun]:
        ids = [row["run_uuid"] for row in rows]
        parameters, tags = self._values_of("params", ids), self._values_of("tags", ids)
        metrics: dict[str, dict[str, float]] = {run_id: {} for run_id in ids}
        for some in chunks(ids, _VALUES_PER_QUERY):
            for row in self._database.rows(
                "SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE run_uuid IN :ids",
                ids=some,
            ):
                metrics[row["run_uuid"]][row["key"]] = _number(row)
        return [
            TrackedRun(
                run_id=row["run_uuid"],
                name=row["name"] or row["run_uuid"],
                experiment=self._experiments[str(row["experiment_id"])],
                experiment_id=str(row["experiment_id"]),
                status=row["status"],
                started=_moment(row["start_time"]),
                ended=_moment(row["end_time"]),
                parameters=parameters[row["run_uuid"]],
                tags=tags[row["run_uuid"]],
                metrics=metrics[row["run_uuid"]],
            )
            for row in rows
        ]

    def _values_of(self, table: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {run_id: {} for run_id in ids}
        for some in chunks(ids, _VALUES_PER_QUERY):
            for row in self._database.rows(
                f"SELECT run_uuid, key, value FROM {table} WHERE run_uuid IN :ids",  # noqa: S608 - a table of this module
                ids=some,
            ):
                found[row["run_uuid"]][row["key"]] = row["value"]
        return found


def _number(row: Row) -> float:
    return math.nan if row["is_nan"] else float(row["value"])


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
