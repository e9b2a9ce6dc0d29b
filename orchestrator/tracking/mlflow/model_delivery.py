"""A packaged model on its way into MLflow: a logged model of its run and, where a name is given, a
version in the registry.

Explicit ids only, so the run may be another process's, and over for hours. Each step looks first
for what an earlier delivery, killed at any point, has made already: so there is one logged model
and one version, however often this is called. A logged model that is READY is whole.
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
    "mlflow.modelVersions"  # by which MLflow's pages link a logged model to its versions
)
_MODEL_FILE = "MLmodel"


def deliver_model(client: MlflowClient, run_id: str, entry: entries.Model) -> str:
    """Sends a packaged model, or the rest of it, and returns MLflow's id of the logged model.

    Args:
        client: Bound to the store and its registry.
        run_id: The store's id of the run that learned it.
        entry: Where the package is, and what the model is called.

    Raises:
        OrchestratorError: The folder holds no package; nothing is sent.
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
    """Make a delivered model a version in the registry, once a name, and return the version.

    Args:
        client: Bound to the store and its registry.
        model: READY.
        name: Of the registered model.
        facts: Of the model; the version gets few of them as tags, and a description.
    """
    version = _version(client, model, name, facts)
    _link_to_version(client, model, version)
    return version


@dataclass(frozen=True)
class _Package:
    """What `packaging` has written.

    Attributes:
        folder: Where.
        model: The content of its MLmodel file.
        facts: Of the model.
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
            raise OrchestratorError(f"is no packaged model ({error})", str(folder)) from error


def _logged_model(client: MlflowClient, run: Run, name: str, tags: dict[str, str]) -> LoggedModel:
    """The logged model of this delivery; a new one is PENDING, and carries the delivery's tag from
    its first moment.
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
    """Sends the files, those of an earlier delivery over again; the MLmodel file, which gets the
    ids, last.
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
    """The version of this delivery in the registry."""
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
    # The files' own address: `models:/ID` would be looked up in MLflow's global tracking store, not
    # in this client's.
    source = model.artifact_location
    return client.create_model_version(
        name, source, run_id, tags, description=facts.description(), model_id=model.model_id
    )


def _link_to_version(client: MlflowClient, model: LoggedModel, version: ModelVersion) -> None:
    """Names the version on the logged model; a server has done so itself."""
    known = json.loads(client.get_logged_model(model.model_id).tags.get(_VERSIONS_TAG, "[]"))
    link = {"name": version.name, "version": str(version.version)}
    if link not in [{"name": one["name"], "version": str(one["version"])} for one in known]:
        client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: json.dumps([*known, link])})
