"""Register the models of a finished run, when a user requests this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from orchestrator.config.roles import Role
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.model_delivery import deliver_model, register_logged_model
from orchestrator.tracking.mlflow.model_reader import ModelReader
from orchestrator.tracking.model_facts import ModelFacts
from orchestrator.tracking.outbox import entries
from orchestrator.tracking.registry import TEACHER_TAG
from orchestrator.tracking.uris import version_url

_MISSING = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class NewVersion:
    """A registered version of a model that a run has trained.

    Attributes:
        model: The registered model's name.
        version: Version number.
        is_new: Whether this call registered the version; False if the version existed before.
        url: Address of the version's page; empty if the store is not an MLflow server.
    """

    model: str
    version: str
    is_new: bool
    url: str


class RunRegistrar(ModelReader):
    """Finds runs and models as `ModelReader` does, and registers models."""

    def send(self, run_id: str, role: Role, package: Path) -> None:
        """Log a packaged model to a run that has not logged this model."""
        with mlflow_calls(self._uri):
            entry = entries.Model(run=run_id, folder=package, name=role, registered_name="")
            deliver_model(self._client, run_id, entry)

    def register(
        self, run_id: str, role: Role, model: str, summary: Mapping[str, Any]
    ) -> NewVersion:
        """Register a model that a run has logged, and return the new version. If the registered
        model already has a version of the logged model, return that version.

        Args:
            run_id: Id of the run that logged the model.
            role: Role of the logged model.
            model: Name under which the model is registered.
            summary: Content of the run's summary.json.
        """
        logged = self._models_of(run_id)[role]
        with mlflow_calls(self._uri):
            known = {
                str(found.version)
                for found in self._client.search_model_versions(f"run_id = '{run_id}'")
                if found.name == model
            }
            facts = ModelFacts.of(summary, role)
            number = str(register_logged_model(self._client, logged, model, facts).version)
        url = version_url(self._uri, model, int(number))
        return NewVersion(model, number, number not in known, url)

    def give_alias(self, version: NewVersion, alias: str) -> None:
        """Move an alias of a registered model to a version."""
        with mlflow_calls(self._uri):
            self._client.set_registered_model_alias(version.model, alias, version.version)

    def is_retrained(self, student: str) -> bool:
        """Return whether a retraining has registered versions of a student model."""
        wanted = f"name = '{student}' and tags.`{TEACHER_TAG}` LIKE '%'"
        with mlflow_calls(self._uri):
            try:
                return bool(self._client.search_model_versions(wanted, max_results=1))
            except MlflowException as error:
                if error.error_code == _MISSING:
                    return False
                raise
