"""Export a model from a run in MLflow to a file, and compare the file with the original model.

The export also measures the file and, for comparison, the run's other model (teacher or student).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.config.roles import Role
from orchestrator.errors import OrchestratorError, StorageUnavailableError, UserInputError
from orchestrator.export.comparison import Comparison, compare, median_seconds
from orchestrator.export.description import Description
from orchestrator.export.formats import open_file, write_file
from orchestrator.export.program import trace
from orchestrator.export.pt2_file import as_predictor
from orchestrator.pipelines.export.outcome import (
    Exported,
    ExportListener,
    ExportRequest,
    Measured,
    Quantized,
)
from orchestrator.pipelines.export.sources import (
    JudgingImages,
    Source,
    fetch,
    find_source,
    judging_images,
)
from orchestrator.tracking.mlflow.model_reader import ModelReader
from orchestrator.tracking.mlflow.packaging import PackagedModel
from orchestrator.tracking.reading import open_model_reader

EXPORTS_FOLDER = Path("out") / "exports"
_ID_LETTERS = 8

logger = logging.getLogger(__name__)


def export(request: ExportRequest, uri: str, listener: ExportListener) -> Exported:
    """Write a run's student or teacher to one file, after checking that the file and the original
    model give equal outputs.

    Args:
        request: The model, the format and the output file.
        uri: The tracking store.
        listener: Receives every step.

    Raises:
        UserInputError: The run or the model does not exist, or the request is invalid.
        NotConvertibleError: The format does not support the model.
        DifferentOutputsError: The file and the original model give different outputs; no file is
            written.
        TransientError: MLflow, the stage store or the output's folder cannot be reached.
    """
    if request.quantize and request.kind != "onnx":
        raise UserInputError("int8 needs ONNX Runtime", "--quantize", "choose --format onnx")
    reader = open_model_reader(uri)
    source = find_source(reader, request.reference, request.role)
    output = request.output or _default_output(request, source)
    with _folder_beside(output) as folder:
        written, exported = _Export(request, reader, source, listener, folder, output).run()
        with _writing(output):
            written.replace(output)
    return exported


@dataclass(frozen=True)
class _Export:
    """One export, whose steps write to a temporary folder."""

    request: ExportRequest
    reader: ModelReader
    source: Source
    listener: ExportListener
    folder: Path
    output: Path

    def run(self) -> tuple[Path, Exported]:
        """Return the temporary path of the finished file, and the outcome of the export."""
        role = self.source.role
        model = self._fetched(role)
        images = judging_images(self.source, model.shape, with_calibration=self.request.quantize)
        description = self._description(model)
        file = self._written(model, description)
        comparison = self._compared(file, model, images)
        comparison.require_equal()
        measured = self._measured(role, file, model, images.accuracy(comparison.predictions))
        quantized = (
            self._quantized(file, model, description, images) if self.request.quantize else None
        )
        written = self.folder / _int8_name(file) if quantized else file
        other = self._other_role()
        return written, Exported(
            self.output,
            self.request.kind,
            description,
            measured,
            comparison,
            quantized,
            other,
            images.what,
        )

    def _fetched(self, role: Role) -> PackagedModel:
        self.listener.step(f"fetch the {role}")
        return fetch(self.reader, self.source, role, self.folder)

    def _description(self, model: PackagedModel) -> Description:
        run, facts = self.source.run, model.facts
        return Description(
            facts.class_names, model.shape, facts.role, run.run_id, run.experiment, facts.dataset
        )

    def _written(self, model: PackagedModel, description: Description) -> Path:
        self.listener.step(f"convert the {description.role}")
        file = self.folder / f"{description.role}.{self.request.kind}"
        program = trace(model.classifier, model.shape)
        with _writing(self.output):
            write_file(program, self.request.kind, description.texts(), file)
        return file

    def _compared(self, file: Path, model: PackagedModel, images: JudgingImages) -> Comparison:
        self.listener.step(f"compare {file.name} with the original on {images.what}")
        predict = open_file(file, self.request.kind)
        return compare(
            predict, as_predictor(model.classifier), images.images, self.listener.progress
        )

    def _measured(
        self, name: str, file: Path, model: PackagedModel, accuracy: float | None
    ) -> Measured:
        seconds = median_seconds(
            open_file(file, self.request.kind, num_threads=1), np.zeros((1, *model.shape), np.uint8)
        )
        return Measured(name, model.facts.num_parameters, file.stat().st_size, seconds, accuracy)

    def _quantized(
        self, file: Path, model: PackagedModel, description: Description, images: JudgingImages
    ) -> Quantized:
        from orchestrator.export.quantization import quantize  # noqa: PLC0415 - optional packages

        self.listener.step(f"quantise {file.name}")
        small = self.folder / _int8_name(file)
        with _writing(self.output):
            how = quantize(file, small, images.calibration, description.texts())
        comparison = self._compared(small, model, images)
        return Quantized(
            how,
            self._measured(
                f"{description.role} int8", small, model, images.accuracy(comparison.predictions)
            ),
            comparison,
        )

    def _other_role(self) -> Measured | None:
        """Measure the run's other model (teacher or student) for comparison. If the measurement
        fails, log a warning and return None.
        """
        role: Role = "teacher" if self.source.role == "student" else "student"
        try:
            model = self._fetched(role)
            return self._measured(
                role,
                self._written(model, self._description(model)),
                model,
                model.facts.last_accuracy,
            )
        except OrchestratorError as error:
            logger.warning("the %s is not measured: %s", role, error)
            return None


def _int8_name(file: Path) -> str:
    return f"{file.stem}-int8{file.suffix}"


def _default_output(request: ExportRequest, source: Source) -> Path:
    name = f"{source.role}-{source.run.run_id[:_ID_LETTERS]}.{request.kind}"
    return EXPORTS_FOLDER / (_int8_name(Path(name)) if request.quantize else name)


@contextmanager
def _folder_beside(output: Path) -> Iterator[Path]:
    """Create a temporary folder on the output's file system, so that the finished file can be moved
    atomically. Afterwards remove the temporary folder, and new parent folders that stayed empty.

    Raises:
        UserInputError: The output is a folder.
        StorageUnavailableError: The folder cannot be written.
    """
    if output.is_dir():
        raise UserInputError("is a folder", str(output), "name a file with --output")
    missing = [parent for parent in output.parents if not parent.exists()]
    try:
        with _writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent)
        with folder as path:
            yield Path(path)
    finally:
        # rmdir fails if the folder contains the exported file, or was not created
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Turn an OSError while writing the output into an error that suggests another --output.

    Use this only around writes of the output: another file name does not fix other errors.

    Raises:
        StorageUnavailableError: The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        what = f"the file cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(what, str(output), "choose another --output") from None
