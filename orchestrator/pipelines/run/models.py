"""Package the models of a run in its output folder, and log the packages in MLflow.

Exporting a model takes seconds, so each package is created only once and then reused from the stage
store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, assert_never

import torch

from orchestrator import output_files
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.devices import CPU
from orchestrator.errors import ModelNotExportableError, StorageUnavailableError
from orchestrator.models.artifact import Artifact
from orchestrator.stages import Model, Stage, Work
from orchestrator.tracking import Tracker
from orchestrator.tracking.model_facts import ModelFacts

PACKAGE_FORMAT = 2
_EXPORTED_BY = ("torch", "mlflow")

logger = logging.getLogger(__name__)


def final_stages(work: Work) -> dict[Role, Stage]:
    """Return the teacher's and the student's stage of the last task."""
    return {stage.role: stage for stage in work.stages}


def final_models(work: Work) -> dict[Role, Model]:
    """Return the last task's teacher and student, read from the stage store.

    Raises:
        StorageUnavailableError: The models are no longer in the store.
    """
    return {role: _model(work, stage) for role, stage in final_stages(work).items()}


def log_models(folder: Path, summary: dict[str, Any], work: Work, tracker: Tracker) -> None:
    """Package teacher and student for MLflow in the folder of the run, and log the packages.

    A model that cannot be exported as a graph, such as one with data-dependent branches, is skipped
    with a warning.

    Raises:
        StorageUnavailableError: The folder or the stage store is no longer usable.
    """
    experiment = work.experiment
    if experiment.tracking.models == "none":
        return
    for role in final_stages(work):
        try:
            package = package_final_model(folder, summary, work, role)
        except ModelNotExportableError as error:
            logger.warning("%s", error)
            continue
        tracker.log_model(package, role, registered_name(experiment, role))


def registered_name(experiment: Experiment, role: Role) -> str:
    """Return the name under which a run registers the model of a role; empty if the run registers
    no models.
    """
    match experiment.tracking.models:
        case "register":
            return f"{experiment.name}-{role}"
        case "candidate":
            return f"{experiment.name}-{role}-candidate"
        case "log" | "none":
            return ""
        case _:
            assert_never(experiment.tracking.models)


def package_final_model(folder: Path, summary: dict[str, Any], work: Work, role: Role) -> Path:
    """Package the last task's teacher or student for MLflow, and return the package's folder.

    Args:
        folder: The folder of the run, in which an earlier package of the same model is replaced.
        summary: The content of summary.json.
        work: The computed work.
        role: The role of the model.

    Raises:
        ModelNotExportableError: PyTorch cannot export the model.
        StorageUnavailableError: The folder or the stage store is no longer usable.
    """
    package = folder / output_files.MODELS_FOLDER / role
    shutil.rmtree(package, ignore_errors=True)
    try:
        _write_package(work, final_stages(work)[role], ModelFacts.of(summary, role), package)
    except OSError as error:
        what = f"the {role} cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, str(package), "free some space; the learned stages are kept"
        ) from None
    except StorageUnavailableError:
        raise
    except Exception as error:  # torch.export raises errors of many classes
        what = (
            f"the {role} cannot be exported for MLflow"
            f" ({(str(error).strip().splitlines() or [type(error).__name__])[0]})"
        )
        raise ModelNotExportableError(
            what, next_step="another backbone may be exportable"
        ) from error
    return package


def _write_package(work: Work, stage: Stage, facts: ModelFacts, package: Path) -> None:
    """Write a model's package from the stage store. If the store lacks the package, create the
    package and store it.
    """
    key = _package_key(stage, facts)
    stored = work.store.load(key)
    if stored is not None:
        for name, content in stored.tensors.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_bytes(content.numpy().tobytes())
        return
    from orchestrator.tracking.mlflow.packaging import package_model  # noqa: PLC0415 - loads MLflow

    package_model(_model(work, stage).network, work.scenario.shape, facts, package)
    files = {
        str(path.relative_to(package)): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file()
    }
    work.store.save(
        key,
        Artifact(
            {
                name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
                for name, content in files.items()
            }
        ),
    )


def _package_key(stage: Stage, facts: ModelFacts) -> str:
    versions = {name: metadata.version(name) for name in _EXPORTED_BY}
    content = [PACKAGE_FORMAT, stage.key, facts.values(), versions]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _model(work: Work, stage: Stage) -> Model:
    return work.model_from(work.artifact_of(stage), stage, CPU)
