"""Deliver a packaged model to MLflow: as a logged model of its run and, if a name is given, as a
version in the registry.

All ids are explicit, so the run may belong to another process, or have ended hours ago. An earlier
delivery may have been killed at any point, so each step first looks for its result: repeated
deliveries create one logged model and one version. A READY logged model is complete.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from orchestrator.errors import OrchestratorError
from orchestrator.tracking.model_facts import ModelFacts
from orchestrator.tracking.outbox import entries

DELIVERY_TAG = "orchestrator.delivery"
_VERSIONS_TAG = (
    "mlflow.modelVersions"  # MLflow's pages link a logged model to its versions by this tag
)
_MODEL_FILE = "MLmodel"


def deliver_model(client: MlflowClient, run_id: str, entry: entries.Model) -> str:
    """Send a packaged model, or its parts that MLflow lacks, and return the logged model's id.

    Args:
        client: MLflow's client of the store and its registry.
        run_id: The store's id of the run that trained the model.
        entry: Entry with the package's folder and the model's names.

    Raises:
        OrchestratorError: The folder contains no package; nothing is sent.
    """
    package = _Package.read(entry.folder)
    tags = package.facts.tags() | {DELIVERY_TAG: f"{entry.run}/{entry.name}"}
    run = client.get_run(run_id)
    model = _logged_model(client, run, entry.name, tags)
    if model.status != LoggedModelStatus.READY:
        _upload(client, run_id, model, package)
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    if entry.registered_name:
        register_logged_model(client, model, entry.registered_name, package.facts)
    return str(model.model_id)


def register_logged_model(
    client: MlflowClient, model: LoggedModel, name: str, facts: ModelFacts
) -> ModelVersion:
    """Register a delivered model as a version, once per name, and return the version.

    Args:
        client: MLflow's client of the store and its registry.
        model: A logged model that is READY.
        name: Name of the registered model.
        facts: Facts of the model; a few become tags and the description of the version.
    """
    version = _version(client, model, name, facts)
    _link_to_version(client, model, version)
    return version


@dataclass(frozen=True)
class _Package:
    """A package written by `packaging`.

    Attributes:
        folder: Folder of the package.
        model: Content of the package's MLmodel file.
        facts: Facts of the model.
    """

    folder: Path
    model: Model
    facts: ModelFacts

    @classmethod
    def read(cls, folder: Path) -> _Package:
        try:
            model = Model.load(str(folder))
            return cls(folder, model, ModelFacts(**(model.metadata or {})))
        except (MlflowException, OSError, TypeError) as error:
            raise OrchestratorError(f"is not a packaged model ({error})", str(folder)) from error


def _logged_model(client: MlflowClient, run: Run, name: str, tags: dict[str, str]) -> LoggedModel:
    """Return the logged model of this delivery, created if missing. A new logged model is PENDING,
    and is created with the delivery's tag.
    """
    experiment_id = run.info.experiment_id
    found = client.search_logged_models(
        [experiment_id], f"tags.`{DELIVERY_TAG}` = '{tags[DELIVERY_TAG]}'"
    )
    if found:
        return found[0]
    return client.create_logged_model(
        experiment_id, name, run.info.run_id, tags, model_type="classifier"
    )


def _upload(client: MlflowClient, run_id: str, model: LoggedModel, package: _Package) -> None:
    """Upload the package's files, replacing those of an earlier delivery. Upload the MLmodel file,
    which also receives the ids, last.
    """
    client.log_model_artifacts(model.model_id, str(package.folder))
    described = package.model
    described.run_id, described.model_id, described.artifact_path = (
        run_id,
        model.model_id,
        model.artifact_location,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / _MODEL_FILE
        described.save(str(file))
        client.log_model_artifact(model.model_id, str(file))


def _version(
    client: MlflowClient, model: LoggedModel, name: str, facts: ModelFacts
) -> ModelVersion:
    """Return the version of this delivery in the registry, created if missing."""
    run_id = model.source_run_id
    tags = facts.version_tags() | {DELIVERY_TAG: model.tags[DELIVERY_TAG]}
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for version in client.search_model_versions(f"run_id = '{run_id}'"):
        if version.name == name and version.tags.get(DELIVERY_TAG) == tags[DELIVERY_TAG]:
            return version
    # Pass the address of the files instead of `models:/ID`: MLflow would look up the latter in its
    # global tracking store instead of this client's store.
    source = model.artifact_location
    return client.create_model_version(
        name, source, run_id, tags, description=facts.description(), model_id=model.model_id
    )


def _link_to_version(client: MlflowClient, model: LoggedModel, version: ModelVersion) -> None:
    """Record the version on the logged model; an MLflow server has already recorded it."""
    known = json.loads(client.get_logged_model(model.model_id).tags.get(_VERSIONS_TAG, "[]"))
    link = {"name": version.name, "version": str(version.version)}
    if link not in [{"name": one["name"], "version": str(one["version"])} for one in known]:
        client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: json.dumps([*known, link])})
