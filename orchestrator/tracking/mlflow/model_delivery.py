"""Deliver a packaged model to MLflow: as a logged model of its run and, if a name is given, as a
version of the registered model with this name.

The run may be open in another process, or may have ended earlier. A delivery may be killed at any
step and then repeated. Each step therefore first searches MLflow for its result, so that repeated
deliveries create only one logged model and one version. A logged model is complete if its status is
READY.
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
    """Deliver a packaged model to MLflow, and return the id of the logged model.

    Args:
        client: MLflow's client of the store and its model registry.
        run_id: MLflow's id of the run that trained the model.
        entry: Log entry with the package's folder and the model's names.

    Raises:
        OrchestratorError: The folder contains no packaged model.
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
    """Return the version of a registered model for a logged model; create a missing version.

    Args:
        client: MLflow's client of the store and its model registry.
        model: A logged model that is READY.
        name: Name of the registered model.
        facts: Facts about the model, for the tags and the description of a new version.
    """
    version = _version(client, model, name, facts)
    _link_to_version(client, model, version)
    return version


@dataclass(frozen=True)
class _Package:
    """A packaged model, which `packaging` has written.

    Attributes:
        folder: Folder of the package.
        model: Content of the package's MLmodel file.
        facts: Facts about the model.
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
    """Return a logged model of a run; create the logged model if no earlier try has created it.

    All tries to send one model set the same value of the tag `DELIVERY_TAG`. A new logged model has
    the status PENDING.
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
    """Upload all files of a package; replace files that an earlier try uploaded.

    The MLmodel file is uploaded last, because the ids of the run and of the logged model are added
    to this file first.
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
    """Return the version of a logged model; register the version if no earlier try has done so."""
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
    # Do not pass `models:/ID` as the source: MLflow would search for this id in its global tracking
    # store instead of this client's store.
    source = model.artifact_location
    return client.create_model_version(
        name, source, run_id, tags, description=facts.description(), model_id=model.model_id
    )


def _link_to_version(client: MlflowClient, model: LoggedModel, version: ModelVersion) -> None:
    """Record on a logged model that a version was registered; MLflow servers do this themselves."""
    known = json.loads(client.get_logged_model(model.model_id).tags.get(_VERSIONS_TAG, "[]"))
    link = {"name": version.name, "version": str(version.version)}
    if link not in [{"name": one["name"], "version": str(one["version"])} for one in known]:
        client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: json.dumps([*known, link])})
