"""Write ONNX files with torch, and run them with ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch.export import ExportedProgram

from orchestrator.export.arrays import Images, Logits, Predictor
from orchestrator.export.program import not_convertible

INPUT, OUTPUT = "images", "logits"
_ERRORS_ONLY = 3  # lowest severity of the messages that ONNX Runtime logs


def write_onnx(program: ExportedProgram, texts: Mapping[str, str], path: Path) -> None:
    """Write a graph with its weights as one ONNX file.

    Args:
        program: The graph.
        texts: Metadata of the model, by name.
        path: The file to write; its folder must exist.

    Raises:
        NotConvertibleError: ONNX lacks an operation of the graph, or torch cannot convert the
            graph.
    """
    try:
        with quiet():
            # The batch axis of the graph is already dynamic; `dynamic_shapes` only names this axis.
            converted = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds of errors
        raise not_convertible("an ONNX file", error) from error
    if converted is None:
        raise not_convertible("an ONNX file", RuntimeError("torch returned none"))
    # The exporter records where each operation is defined in the local source code. These records
    # are private and take half of a small file, so they are removed.
    ClearMetadataAndDocStringPass()(converted.model)
    converted.save(path, external_data=False)
    describe(path, texts)


def describe(path: Path, texts: Mapping[str, str]) -> None:
    """Replace the metadata of an ONNX file."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(texts))
    onnx.save(model, path)


def read_onnx_texts(path: Path) -> dict[str, str]:
    """Return the metadata of an ONNX file."""
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def open_onnx(path: Path, num_threads: int) -> Predictor:
    """Open an ONNX file as a predictor.

    Args:
        path: The file.
        num_threads: Number of threads to compute with; 0 means all threads of the machine.

    Raises:
        NotConvertibleError: ONNX Runtime lacks an operation of the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many kinds of errors
        raise not_convertible("an ONNX file that ONNX Runtime runs", error) from error

    def predict(images: Images) -> Logits:
        logits: Logits = session.run([OUTPUT], {INPUT: images})[0]
        return logits

    return predict


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the log messages and warnings of converters; errors are still raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
