"""Open a model for prediction: from a run, from the registry, or from an exported file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import UserInputError
from orchestrator.export.arrays import Predictor
from orchestrator.export.description import Shape
from orchestrator.export.formats import Format, open_file, read_texts
from orchestrator.pipelines.prediction.references import check_reference, format_of


@dataclass(frozen=True)
class OpenModel:
    """Model that is ready to predict.

    Attributes:
        predict: The function from uint8 images to logits.
        shape: (channels, height, width) of the images.
        class_names: The classes, in the order of the logits.
        role: `teacher` or `student`.
    """

    predict: Predictor
    shape: Shape
    class_names: Sequence[str]
    role: str


def open_model(reference: str, uri: str) -> OpenModel:
    """Open a model.

    Args:
        reference: A run id, or the first characters of a run id, for the run's student;
            `models:/NAME@ALIAS` or `models:/NAME/VERSION`, also without `models:/`; or an exported
            file, .onnx or .pt2.
        uri: The tracking store of runs and registered models.

    Raises:
        UserInputError: The model does not exist, or the file was not written by `export`.
        TransientError: MLflow or the stage store cannot be reached.
    """
    check_reference(reference, uri)
    kind = format_of(reference)
    return _open_tracked(reference, uri) if kind is None else _open_exported(Path(reference), kind)


def _open_exported(file: Path, kind: Format) -> OpenModel:
    try:
        texts = read_texts(file, kind)
        channels, height, width = json.loads(texts["input_shape"])
        names = [str(name) for name in json.loads(texts["class_names"])]
        return OpenModel(open_file(file, kind), (channels, height, width), names, texts["role"])
    except Exception as error:  # the runtimes raise errors of many classes for a corrupt file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserInputError(
            f"is not a model that this program has exported ({reason})",
            str(file),
            "export the model again: orchestrator export",
        ) from error


def _open_tracked(reference: str, uri: str) -> OpenModel:
    from orchestrator.tracking.reading import open_model_reader  # noqa: PLC0415 - a file needs no MLflow

    reader = open_model_reader(uri)
    from orchestrator.export.pt2_file import as_predictor  # noqa: PLC0415 - report a wrong store first
    from orchestrator.pipelines.export.sources import fetch, find_source  # noqa: PLC0415
    from orchestrator.tracking.mlflow.packaging import open_package  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        if {"@", "/"} & {*reference}:
            location = reader.registered(reference).location
            model = open_package(reader.download(location, Path(folder)))
        else:
            source = find_source(reader, reference, None)
            model = fetch(reader, source, source.role, Path(folder))
    facts = model.facts
    return OpenModel(as_predictor(model.classifier), model.shape, facts.class_names, facts.role)
