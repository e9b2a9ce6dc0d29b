"""Read the model registry of an MLflow database in SQL, and change the registry through MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from orchestrator.config.roles import Role
from orchestrator.errors import OrchestratorError
from orchestrator.masking import shown
from orchestrator.tracking.preflight import unavailable
from orchestrator.tracking.registry import MAX_TAG, ModelRegistry, VersionFacts
from orchestrator.tracking.sql.database import WORKSPACE, Database
from orchestrator.tracking.sql.files import copy_into, local_folder
from orchestrator.tracking.sql.versions import read_versions


class DatabaseRegistry(ModelRegistry):
    """A model registry that is read in SQL. MLflow is imported only for changes, and for files that
    are not in a local folder.
    """

    def __init__(self, database: Database, name: str, mlflow: Callable[[], ModelRegistry]) -> None:
        """Keep the arguments, without querying the database yet.

        Args:
            database: Database of the store.
            name: Common part of the model names, which are NAME-teacher and NAME-student.
            mlflow: Function that opens the same registry through MLflow.
        """
        super().__init__(database.uri, name)
        self._database = database
        self._open = mlflow

    @cached_property
    def _mlflow(self) -> ModelRegistry:
        return self._open()

    def with_alias(self, role: Role, alias: str) -> VersionFacts | None:
        """Query a version of a role's model by alias; return None if no version has the alias."""
        held = self._database.row(
            "SELECT version FROM registered_model_aliases"
            " WHERE workspace = :workspace AND name = :name AND alias = :alias",
            workspace=WORKSPACE,
            name=self.model_name(role),
            alias=alias,
        )
        return None if held is None else self.find(role, str(held["version"]))

    def find(self, role: Role, version: str) -> VersionFacts | None:
        """Query a version of a role's model; return None if there is no such version."""
        if not version.isdecimal():
            return None
        return next(iter(self._read(role, "v.version = :version", version=int(version))), None)

    def version(self, role: Role, version: str) -> VersionFacts:
        """Query an existing version of a role's model."""
        found = self.find(role, version)
        if found is None:
            what = f"there is no {self.model_name(role)} version {version}"
            raise OrchestratorError(what, shown(self.uri))
        return found

    def versions(self, role: Role, tag: str = "", value: str = "") -> list[VersionFacts]:
        """Query all versions of a role's model, or only those whose tag `tag` equals `value`."""
        if not tag:
            return self._read(role)
        tagged = (
            "EXISTS (SELECT 1 FROM model_version_tags t WHERE t.workspace = v.workspace"
            " AND t.name = v.name AND t.version = v.version AND t.key = :tag AND t.value = :value)"
        )
        return self._read(role, tagged, tag=tag, value=value)

    def model_tags(self, role: Role) -> dict[str, str]:
        """Query the tags of a role's model."""
        return self._database.pairs(
            "SELECT key, value FROM registered_model_tags"
            " WHERE workspace = :workspace AND name = :name",
            workspace=WORKSPACE,
            name=self.model_name(role),
        )

    def set_model_tag(self, role: Role, key: str, value: str) -> None:
        """Set a tag of a role's model in SQL, without importing MLflow.

        Every tick (one execution of `orchestrator retrain`) sets a tag. Without the import, a tick
        that finds no new data takes less time.
        """
        self._database.execute(
            "INSERT INTO registered_model_tags (workspace, name, key, value)"
            " SELECT workspace, name, :key, :value FROM registered_models"
            " WHERE workspace = :workspace AND name = :name"
            " ON CONFLICT (workspace, key, name) DO UPDATE SET value = excluded.value",
            workspace=WORKSPACE,
            name=self.model_name(role),
            key=key,
            value=value[:MAX_TAG],
        )

    def download(self, role: Role, version: str, path: str, folder: Path) -> Path:
        """Copy a version's file or folder; use MLflow if the version's folder is not local."""
        facts = self.version(role, version)
        package = local_folder(facts.source)
        if package is None:
            return self._mlflow.download(role, version, path, folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return copy_into(package / path, folder)
        except FileNotFoundError as error:
            raise self.missing_files(role, version, path, error) from error
        except OSError as error:
            raise unavailable(self.uri, error) from error

    def run_file(self, run_id: str, name: str, folder: Path) -> str:
        """Read an artifact of a run from a local folder; use MLflow if the folder is not local."""
        run = self._database.row("SELECT artifact_uri FROM runs WHERE run_uuid = :run", run=run_id)
        place = local_folder(run["artifact_uri"] or "") if run else None
        if place is None:
            return self._mlflow.run_file(run_id, name, folder)
        try:
            return (place / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    # --- changes of the store -------------------------------------------------------------------

    def set_alias(self, role: Role, alias: str, version: str | None) -> None:
        """Set an alias of a role's model through MLflow."""
        self._mlflow.set_alias(role, alias, version)

    def set_tags(self, role: Role, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version of a role's model through MLflow."""
        self._mlflow.set_tags(role, version, tags)

    def register(self, role: Role, package: Path, run_id: str, candidate: str) -> str:
        """Register a packaged model through MLflow."""
        return self._mlflow.register(role, package, run_id, candidate)

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run through MLflow."""
        self._mlflow.tag_run(run_id, tags)

    def write_run_file(self, run_id: str, name: str, text: str) -> None:
        """Write a text file to a run's artifacts through MLflow."""
        self._mlflow.write_run_file(run_id, name, text)

    # --- internals --------------------------------------------------------------------------------

    def _read(self, role: Role, condition: str = "1 = 1", **values: object) -> list[VersionFacts]:
        found = read_versions(
            self._database,
            f"v.name = :name AND {condition}",
            "v.version",
            name=self.model_name(role),
            **values,
        )
        return list(found)
