"""Find trained models in an MLflow store by run or by registered name, and download them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from orchestrator.config.roles import ROLES, Role
from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.records import MlflowRecords
from orchestrator.tracking.run_reader import RunReader

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_REFERENCE = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:@(?P<alias>[^/@:]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class RegisteredModel:
    """A registered version of a model.

    Attributes:
        run_id: Id of the run that trained the model.
        role: Role of the model.
        location: Address of the model's package.
    """

    run_id: str
    role: Role
    location: str


class ModelReader(RunReader):
    """Finds runs as `RunReader` does, and also finds and downloads trained models."""

    def __init__(self, uri: str) -> None:
        """Connect to the store.

        Args:
            uri: A supported, absolute and reachable URI of a store.
        """
        records = MlflowRecords(uri)
        super().__init__(records)
        self._client = records.client

    def locations_of(self, run_id: str) -> dict[Role, str]:
        """Return the location of each model package that a run has logged, by the model's role."""
        return {role: model.artifact_location for role, model in self._models_of(run_id).items()}

    def registered(self, reference: str) -> RegisteredModel:
        """Return the version of a registered model that a reference names.

        Args:
            reference: `NAME@ALIAS` or `NAME/VERSION`.

        Raises:
            UserInputError: The reference is invalid, the version does not exist, or the version was
                not registered by this program.
        """
        found = _REFERENCE.fullmatch(reference.strip())
        if found is None:
            raise UserInputError(
                f"{reference!r} is not a model",
                next_step="write NAME@ALIAS or NAME/VERSION, or a run id",
            )
        with mlflow_calls(self._uri):
            version = self._version(found["name"], found["alias"], found["version"] or "")
            if version is None:
                what = f"there is no model {reference} in the registry"
                raise UserInputError(
                    what,
                    shown(self._uri),
                    "`orchestrator ui` shows names, aliases and versions",
                )
            location = self._client.get_model_version_download_uri(version.name, version.version)
        roles = [role for role in ROLES if version.tags.get("role") == role]
        if not roles or not version.run_id:
            raise UserInputError(
                f"the model {reference} was not registered by this program",
                shown(self._uri),
            )
        return RegisteredModel(version.run_id, roles[0], location)

    def download(self, location: str, folder: Path) -> Path:
        """Download a model package into a folder, and return the path of the copy.

        Raises:
            UserInputError: The package's files are missing.
        """
        with mlflow_calls(self._uri):
            try:
                return Path(
                    mlflow.artifacts.download_artifacts(
                        artifact_uri=location, dst_path=str(folder), tracking_uri=self._uri
                    )
                )
            except (MlflowException, FileNotFoundError) as error:
                if isinstance(error, MlflowException) and error.error_code not in _MISSING:
                    raise
                raise UserInputError(
                    "the model's files are missing", location, "run the experiment again"
                ) from error

    # --- internals --------------------------------------------------------------------------------

    def _models_of(self, run_id: str) -> dict[Role, LoggedModel]:
        with mlflow_calls(self._uri):
            outputs = self._client.get_run(run_id).outputs
            ids = [output.model_id for output in outputs.model_outputs] if outputs else []
            models = [model for model in map(self._logged_model, ids) if model is not None]
        return {role: model for model in models for role in ROLES if model.name == role}

    def _logged_model(self, model_id: str) -> LoggedModel | None:
        """Return a logged model; None if the model is deleted or was never sent completely."""
        try:
            model = self._client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code in _MISSING:
                return None
            raise
        return model if model.status == LoggedModelStatus.READY else None

    def _version(self, name: str, alias: str | None, version: str) -> ModelVersion | None:
        try:
            if alias is not None:
                return self._client.get_model_version_by_alias(name, alias)
            return self._client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code in _MISSING:
                return None
            raise
