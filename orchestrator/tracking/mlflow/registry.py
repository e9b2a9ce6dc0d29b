"""Implement `ModelRegistry` through MLflow's client, without MLflow's global settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orchestrator.config.roles import Role
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.model_delivery import DELIVERY_TAG, deliver_model
from orchestrator.tracking.mlflow.runs import connect
from orchestrator.tracking.outbox import entries
from orchestrator.tracking.registry import MAX_TAG, ModelRegistry, VersionFacts

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
# Number of characters that always fit MySQL's TEXT column, even with four bytes a character.
_MAX_VERSION_TAG = 16_000


class MlflowRegistry(ModelRegistry):
    """A registry that reads and writes through MLflow's client."""

    def __init__(self, uri: str, name: str) -> None:
        """Connect to the store.

        Args:
            uri: A supported, absolute and reachable URI of a store.
            name: Common part of the model names, which are NAME-teacher and NAME-student.
        """
        super().__init__(uri, name)
        with mlflow_calls(uri), database_ready(uri):
            self._client: MlflowClient = connect(uri)

    def with_alias(self, role: Role, alias: str) -> VersionFacts | None:
        """Request a version of a role's model by alias; return None if no version has the alias."""
        return self._if_there(
            lambda: self._client.get_model_version_by_alias(self.model_name(role), alias)
        )

    def find(self, role: Role, version: str) -> VersionFacts | None:
        """Request a version of a role's model; return None if there is no such version."""
        return self._if_there(
            lambda: self._client.get_model_version(self.model_name(role), version)
        )

    def set_alias(self, role: Role, alias: str, version: str | None) -> None:
        """Set an alias of a role's model; if `version` is None, delete the alias."""
        with mlflow_calls(self.uri):
            if version is not None:
                self._client.set_registered_model_alias(self.model_name(role), alias, version)
                return
            try:
                self._client.delete_registered_model_alias(self.model_name(role), alias)
            except MlflowException as error:
                if error.error_code not in _MISSING:
                    raise

    def version(self, role: Role, version: str) -> VersionFacts:
        """Request an existing version of a role's model."""
        with mlflow_calls(self.uri):
            return version_facts(self._client.get_model_version(self.model_name(role), version))

    def versions(self, role: Role, tag: str = "", value: str = "") -> list[VersionFacts]:
        """Search for the versions of a role's model, and sort them by version number."""
        wanted = f"name = '{self.model_name(role)}'" + (
            f" and tags.`{tag}` = '{value}'" if tag else ""
        )
        found: list[ModelVersion] = []
        token: str | None = None
        with mlflow_calls(self.uri):
            while True:
                page = self._client.search_model_versions(wanted, page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        return sorted(map(version_facts, found), key=lambda facts: int(facts.version))

    def set_tags(self, role: Role, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version of a role's model, in one request per tag."""
        with mlflow_calls(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(
                    self.model_name(role), version, key, value[:_MAX_VERSION_TAG]
                )

    def model_tags(self, role: Role) -> dict[str, str]:
        """Request the tags of a role's model; empty if the model is not registered."""
        with mlflow_calls(self.uri):
            try:
                return dict(self._client.get_registered_model(self.model_name(role)).tags)
            except MlflowException as error:
                if error.error_code in _MISSING:
                    return {}
                raise

    def set_model_tag(self, role: Role, key: str, value: str) -> None:
        """Set a tag of a role's model, if the model is registered."""
        with mlflow_calls(self.uri):
            try:
                self._client.set_registered_model_tag(self.model_name(role), key, value[:MAX_TAG])
            except MlflowException as error:
                if error.error_code not in _MISSING:
                    raise

    def register(self, role: Role, package: Path, run_id: str, candidate: str) -> str:
        """Register a packaged model in MLflow, and return the version's number. If the candidate (a
        pair of teacher and student) already has a version, return that version's number instead.
        """
        name, delivery = self.model_name(role), f"{candidate}/{role}"
        if not self.versions(role, DELIVERY_TAG, delivery):
            with mlflow_calls(self.uri):
                deliver_model(
                    self._client,
                    run_id,
                    entries.Model(run=candidate, folder=package, name=role, registered_name=name),
                )
        return self.versions(role, DELIVERY_TAG, delivery)[0].version

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run, in one request per tag."""
        with mlflow_calls(self.uri):
            for key, value in tags.items():
                self._client.set_tag(run_id, key, value[:MAX_TAG])

    def write_run_file(self, run_id: str, name: str, text: str) -> None:
        """Log a text as an artifact of a run."""
        with mlflow_calls(self.uri):
            self._client.log_text(run_id, text, name)

    def run_file(self, run_id: str, name: str, folder: Path) -> str:
        """Download an artifact of a run, and return its text; empty if the artifact is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        with mlflow_calls(self.uri):
            try:
                path = self._client.download_artifacts(run_id, name, str(folder))
            except (MlflowException, OSError) as error:
                if isinstance(error, MlflowException) and error.error_code not in _MISSING:
                    raise
                return ""
        return Path(path).read_text(encoding="utf-8")

    def download(self, role: Role, version: str, path: str, folder: Path) -> Path:
        """Download a file or folder of a version from the artifact store."""
        folder.mkdir(parents=True, exist_ok=True)
        with mlflow_calls(self.uri):
            uri = self._client.get_model_version_download_uri(self.model_name(role), version)
            source = f"{uri.rstrip('/')}/{path}"
            try:
                return Path(
                    mlflow.artifacts.download_artifacts(
                        artifact_uri=source, dst_path=str(folder), tracking_uri=self.uri
                    )
                )
            except (MlflowException, FileNotFoundError) as error:
                if isinstance(error, MlflowException) and error.error_code not in _MISSING:
                    raise
                raise self.missing_files(role, version, path, error) from error

    def _if_there(self, ask: Callable[[], ModelVersion]) -> VersionFacts | None:
        with mlflow_calls(self.uri):
            try:
                return version_facts(ask())
            except MlflowException as error:
                if error.error_code in _MISSING:
                    return None
                raise


def version_facts(version: ModelVersion) -> VersionFacts:
    """Convert MLflow's `ModelVersion` to `VersionFacts`."""
    return VersionFacts(
        str(version.version),
        version.run_id or "",
        dict(version.tags or {}),
        version.source or "",
        int(version.creation_timestamp or 0),
        version.name,
    )
