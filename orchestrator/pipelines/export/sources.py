"""Find the model to export, and the images for comparing the exported file with that model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from pydantic import ValidationError

from orchestrator import output_files
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.config.yaml_files import BY_PROGRAM, YamlError, parse_yaml
from orchestrator.data import Scenario, Split, load_images
from orchestrator.data.scenario_building import build_scenario
from orchestrator.errors import ConfigError, DataError, OrchestratorError, UserInputError
from orchestrator.evaluation.classification import accuracies
from orchestrator.export.arrays import Images
from orchestrator.export.description import Shape
from orchestrator.pipelines.run.models import final_stages, package_final_model
from orchestrator.stages import prepare_work
from orchestrator.tracking.mlflow.model_reader import ModelReader
from orchestrator.tracking.mlflow.packaging import PackagedModel, open_package
from orchestrator.tracking.tracked_run import TrackedRun

_NUM_RANDOM_IMAGES = 256
_NUM_CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class Source:
    """Run whose model is exported, with the locations of the run's models.

    Attributes:
        run: The run, with its files.
        role: The role to export.
        locations: Locations of the run's packaged models in MLflow, by role; empty if the run
            logged no models.
    """

    run: TrackedRun
    role: Role
    locations: Mapping[Role, str]


@dataclass(frozen=True)
class JudgingImages:
    """Images on which the exported file and the original model are compared.

    Attributes:
        images: Test images of the run's data set, otherwise random images.
        labels: The images' labels, as positions in the class order; None for random images.
        tasks: The classes of each task.
        calibration: Training images for quantisation; None if missing or not requested.
        what: Number and kind of the images, in words.
    """

    images: Images
    labels: torch.Tensor | None
    tasks: Sequence[range]
    calibration: Images | None
    what: str

    def accuracy(self, predictions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float | None:
        """Return the accuracy of predictions for these images after the last task: the mean over
        the tasks, as in the run's summary. Return None if the images are random, because random
        images have no labels.
        """
        if self.labels is None:
            return None
        return fmean(accuracies(torch.from_numpy(predictions), self.labels, self.tasks).by_task)


def find_source(reader: ModelReader, reference: str, role: Role | None) -> Source:
    """Find a model to export or to predict with.

    Args:
        reader: Reader of the tracking store.
        reference: A run id, the first characters of a run id, or a registered model as NAME@ALIAS
            or NAME/VERSION.
        role: The wanted role; None means the student of a run, or the registered model's role.

    Raises:
        UserInputError: The run or the model does not exist, the model has another role, or the run
            has not ended.
    """
    if {"@", "/"} & set(reference):
        model = reader.registered(reference)
        if role not in (None, model.role):
            raise UserInputError(
                f"{reference} is a {model.role}",
                f"--role {role}",
                "omit --role, or name the other model",
            )
        run = reader.find(model.run_id)
        return Source(
            reader.with_files(run),
            model.role,
            {**reader.locations_of(run.run_id), model.role: model.location},
        )
    run = reader.find(reference)
    if run.is_sweep:
        advice = "run the sweep's best.yaml, which reuses the stored stages, and name that run"
        raise UserInputError(
            f"{run.run_id} is a sweep, which has no model of its own", next_step=advice
        )
    if run.ended is None:
        advice = (
            "wait until the run ends; `orchestrator reconcile` closes a run whose process"
            " was killed"
        )
        raise UserInputError(f"run {run.run_id} is still running", next_step=advice)
    return Source(reader.with_files(run), role or "student", reader.locations_of(run.run_id))


def fetch(reader: ModelReader, source: Source, role: Role, folder: Path) -> PackagedModel:
    """Return a run's final model from MLflow, or from the stage store if MLflow does not have it.

    Args:
        reader: Reader of the tracking store.
        source: The run.
        role: The role of the model.
        folder: Folder for the model's files.

    Raises:
        UserInputError: The run has no models, or their files are missing.
        StorageUnavailableError: The stage store cannot be read.
    """
    location = source.locations.get(role)
    if location is not None:
        return open_package(reader.download(location, folder / role))
    return open_package(package_from_stages(source.run, role, folder))


def package_from_stages(run: TrackedRun, role: Role, folder: Path) -> Path:
    """Package a run's final model from the stage store, and return the package's folder.

    Args:
        run: The run, with its summary and files.
        role: The role of the model.
        folder: Folder for the package.

    Raises:
        UserInputError: The run has learned no model, or the model's stages are missing.
        StorageUnavailableError: The stage store cannot be read.
    """
    what = f"run {run.run_id} has no {role} in MLflow"
    if run.parent_run_id:
        advice = (
            "run its configuration (of the best trial: best.yaml), which reuses the stored stages,"
            " and name that run"
        )
        raise UserInputError(f"{what}: it is a trial of a sweep", next_step=advice)
    if run.summary is None:
        reason = f": {run.reason}" if run.reason else ""
        raise UserInputError(
            f"{what}: it is {run.status}{reason}",
            next_step="name a finished run; `orchestrator list` shows them",
        )
    advice = (
        "run the experiment again with tracking.models: log; if models wait in the spool,"
        " `orchestrator reconcile` delivers them"
    )
    try:
        work = prepare_work(_experiment_of(run))
        is_stored = work.is_stored(final_stages(work)[role])
    except UserInputError as error:
        raise UserInputError(
            f"{what}, and its stages cannot be found ({error})", next_step=advice
        ) from error
    if not is_stored:
        raise UserInputError(
            f"{what}, and its stages are no longer in the store", work.store.uri, advice
        )
    return package_final_model(folder, dict(run.summary), work, role)


def judging_images(source: Source, shape: Shape, *, with_calibration: bool) -> JudgingImages:
    """Return the test images of a run. If the test images cannot be read or have changed, return
    random images instead, which are the same in every call.

    Args:
        source: The run.
        shape: (channels, height, width) of the model's input.
        with_calibration: Whether to return training images for quantisation too.
    """
    try:
        scenario = _scenario_of(source.run, shape)
    except OrchestratorError as error:
        random = np.random.default_rng(0).integers(
            0, 256, (_NUM_RANDOM_IMAGES, *shape), dtype=np.uint8
        )
        return JudgingImages(
            random,
            None,
            (),
            None,
            f"{len(random)} random images, as the data set cannot be used ({error})",
        )
    test = scenario.images_of(Split.TEST, range(len(scenario.class_names)))
    tasks = [task.new_classes for task in scenario.tasks]
    calibration = _calibration_images(scenario) if with_calibration else None
    return JudgingImages(
        test.images.numpy(), test.labels, tasks, calibration, f"{len(test)} test images"
    )


def _scenario_of(run: TrackedRun, shape: Shape) -> Scenario:
    experiment = _experiment_of(run)
    table = load_images(experiment.data)
    if table.fingerprint != run.fingerprint:
        raise DataError("the data has changed since the run", table.name)
    if table.shape != shape:
        raise DataError(
            f"the data's images have shape {table.shape}, the model's {shape}", table.name
        )
    cut = build_scenario(
        table, experiment.scenario, experiment.data.validation_fraction, experiment.seed
    )
    return replace(cut, max_bytes=experiment.data.max_bytes)


def _experiment_of(run: TrackedRun) -> Experiment:
    try:
        return Experiment.model_validate(
            parse_yaml(run.files.get(output_files.EXPERIMENT_FILE, ""), BY_PROGRAM) or {"name": ""}
        )
    except (ValidationError, YamlError) as error:
        raise ConfigError(
            "the run's experiment file is missing, or from another version of this program",
            run.run_id,
        ) from error


def _calibration_images(scenario: Scenario) -> Images | None:
    """Return training images for quantisation: equally many of every class, and evenly spread over
    the images of the class.
    """
    each = -(-_NUM_CALIBRATION_IMAGES // len(scenario.class_names))
    of_classes = [rows for rows in scenario.indices[Split.TRAIN] if len(rows)]
    if not of_classes:
        return None
    chosen = [
        rows[np.unique(np.linspace(0, len(rows) - 1, each).round().astype(int))]
        for rows in of_classes
    ]
    images: Images = scenario.table.images[np.concatenate(chosen)]
    return images
