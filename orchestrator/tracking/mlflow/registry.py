"""The model registry: pairs of a teacher and its student, their aliases, and the files by which the
teacher learns on.

The student's aliases decide, for it is the student that is served; the teacher's follow. Of a
student, the tag `TEACHER_TAG` names its teacher. Explicit clients only: nothing here depends on
MLflow's global settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from orchestrator.config.roles import Role
from orchestrator.errors import OrchestratorError
from orchestrator.masking import shown
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.model_delivery import DELIVERY_TAG, deliver_model
from orchestrator.tracking.mlflow.runs import connect
from orchestrator.tracking.outbox import entries

REASON_TAG = "orchestrator.state_reason"
DECIDED_BY_TAG = "orchestrator.decided_by"  # `gate`, or a person as user@host
TEACHER_TAG = "orchestrator.teacher_version"
PREDECESSOR_TAG = (  # the student version from whose champion it has learned on
    "orchestrator.predecessor"
)
GATE_TAG_PREFIX = "orchestrator.gate."
GATE_CONDITIONS_TAG = (  # all of them, as JSON; of earlier releases: now a file of the run
    "orchestrator.gate_conditions"
)
EVENTS_TAG = "orchestrator.events"  # all states of a version so far (see `version_events`)
TICK_TAG = "orchestrator.tick"  # of a version: the tick that learned it; of the model: the last one
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_MAX_TAG = 5000
_MAX_VERSION_TAG = 16_000  # letters of up to four bytes, in TEXT of MySQL


@dataclass(frozen=True)
class VersionFacts:
    """A version as the registry has it.

    Attributes:
        version: Its number.
        run_id: The run that has learned it; empty where it is not known.
        tags: Its tags.
        source: Where its files are.
        created_ms: When it was registered, in milliseconds since 1970.
    """

    version: str
    run_id: str
    tags: Mapping[str, str]
    source: str
    created_ms: int


class ModelRegistry:
    """The registry of one store, and in it two models; every method raises
    `TrackingUnavailableError` where it does not answer.
    """

    def __init__(self, uri: str, name: str) -> None:
        """Connects.

        Args:
            uri: Supported, absolute and reachable.
            name: Of the models: NAME-teacher and NAME-student.
        """
        self.uri = uri
        self.name = name
        with mlflow_calls(uri), database_ready(uri):
            self._client: MlflowClient = connect(uri)

    def model_name(self, role: Role) -> str:
        """What a role's model is called."""
        return f"{self.name}-{role}"

    def with_alias(self, role: Role, alias: str) -> VersionFacts | None:
        """The version that has an alias; None for nobody."""
        return self._if_there(
            lambda: self._client.get_model_version_by_alias(self.model_name(role), alias)
        )

    def find(self, role: Role, version: str) -> VersionFacts | None:
        """One version; None where it is deleted."""
        return self._if_there(
            lambda: self._client.get_model_version(self.model_name(role), version)
        )

    def set_alias(self, role: Role, alias: str, version: str | None) -> None:
        """Gives an alias to a version, from whoever has it; None takes it away."""
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
        """One version."""
        with mlflow_calls(self.uri):
            return _facts(self._client.get_model_version(self.model_name(role), version))

    def versions(self, role: Role, tag: str = "", value: str = "") -> list[VersionFacts]:
        """All versions of a role's model, or those with a tag, the oldest first."""
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
        return sorted(map(_facts, found), key=lambda facts: int(facts.version))

    def set_tags(self, role: Role, version: str, tags: Mapping[str, str]) -> None:
        """Sets or replaces tags of a version."""
        with mlflow_calls(self.uri):
            for key, value in tags.items():
                self._client.set_model_version_tag(
                    self.model_name(role), version, key, value[:_MAX_VERSION_TAG]
                )

    def model_tags(self, role: Role) -> dict[str, str]:
        """Return the tags of a role's model as a whole; none where no version was ever made."""
        with mlflow_calls(self.uri):
            try:
                return dict(self._client.get_registered_model(self.model_name(role)).tags)
            except MlflowException as error:
                if error.error_code in _MISSING:
                    return {}
                raise

    def set_model_tag(self, role: Role, key: str, value: str) -> None:
        """Set or replace a tag of a role's model as a whole, if the model exists."""
        with mlflow_calls(self.uri):
            try:
                self._client.set_registered_model_tag(self.model_name(role), key, value[:_MAX_TAG])
            except MlflowException as error:
                if error.error_code not in _MISSING:
                    raise

    def register(self, role: Role, package: Path, run_id: str, candidate: str) -> str:
        """Registers a packaged model as a version, once for each candidate, and returns its number.

        Args:
            role: Whose model.
            package: Its folder (see `packaging`); what else lies in it goes along.
            run_id: The run that has learned it.
            candidate: Tells what was learned apart from all else.
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
        """Sets or replaces tags of a run."""
        with mlflow_calls(self.uri):
            for key, value in tags.items():
                self._client.set_tag(run_id, key, value[:_MAX_TAG])

    def write_run_file(self, run_id: str, name: str, text: str) -> None:
        """Write or replace a text file among the artifacts of a run."""
        with mlflow_calls(self.uri):
            self._client.log_text(run_id, text, name)

    def run_file(self, run_id: str, name: str, folder: Path) -> str:
        """Return the text of a file among the artifacts of a run; empty where it is missing.

        Args:
            run_id: Whose.
            name: Of the file.
            folder: Where it may go.
        """
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
        """Fetches files of a version.

        Args:
            role: Whose.
            version: Which.
            path: Within its package.
            folder: Where they go.

        Raises:
            OrchestratorError: They are not there.
        """
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
                where = f"{self.model_name(role)} version {version} in {shown(self.uri)}"
                raise OrchestratorError(
                    f"its files {path} are missing ({str(error).splitlines()[0]})", where
                ) from error

    def _if_there(self, ask: Callable[[], ModelVersion]) -> VersionFacts | None:
        with mlflow_calls(self.uri):
            try:
                return _facts(ask())
            except MlflowException as error:
                if error.error_code in _MISSING:
                    return None
                raise


def _facts(version: ModelVersion) -> VersionFacts:
    return VersionFacts(
        str(version.version),
        version.run_id or "",
        dict(version.tags or {}),
        version.source or "",
        int(version.creation_timestamp or 0),
    )
