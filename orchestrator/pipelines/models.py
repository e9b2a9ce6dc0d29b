"""The learned models as they leave a run: packaged beside its summary, and in MLflow's registry."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from orchestrator.errors import StorageUnavailableError
from orchestrator.stages import Model, Role, Work
from orchestrator.tracking import Tracker, names
from orchestrator.tracking.model_facts import ModelFacts

logger = logging.getLogger(__name__)


def final_models(work: Work) -> dict[Role, Model]:
    """The last task's teacher and student, read from the stage store.

    Raises:
        StorageUnavailableError: They are no longer there.
    """
    last = {stage.role: stage for stage in work.stages}
    return {role: work.model_from(work.artifact_of(stage), stage, torch.device("cpu")) for role, stage in last.items()}


def log_models(folder: Path, summary: dict[str, Any], work: Work, tracker: Tracker) -> None:
    """Packages both models for MLflow, in a folder of the run, and hands them to the tracker.

    A model that cannot be exported as a graph, such as one of a backbone with branches, is left out with a warning.

    Raises:
        StorageUnavailableError: The folder cannot be written any more.
    """
    from orchestrator.tracking.packaging import package_model  # noqa: PLC0415 - loads MLflow

    experiment = work.experiment
    for role, model in final_models(work).items():
        package = folder / names.MODELS_FOLDER / role
        shutil.rmtree(package, ignore_errors=True)
        try:
            package_model(model.network, work.scenario.shape, ModelFacts.of(summary, role), package)
        except OSError as error:
            what = f"the {role} cannot be written ({error.strerror or error})"
            raise StorageUnavailableError(what, str(package), "free some space; the learned stages are kept") from None
        except Exception as error:  # noqa: BLE001 - torch.export raises many kinds; the run's numbers are worth more
            logger.warning("the %s cannot be exported for MLflow (%s)", role, str(error).strip().splitlines()[0])
            continue
        tracker.log_model(package, role, f"{experiment.name}-{role}" if experiment.tracking.register_models else "")
