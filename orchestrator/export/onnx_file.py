"""ONNX: written by torch, run by ONNX Runtime."""

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
_ERRORS_ONLY = 3  # of the levels of ONNX Runtime


def write_onnx(program: ExportedProgram, texts: Mapping[str, str], path: Path) -> None:
    """Writes a graph with its weights as one ONNX file.

    Args:
        program: The graph.
        texts: Kept as the model's metadata.
        path: The file; its folder exists.

    Raises:
        NotConvertibleError: ONNX has no such operation, or torch does not know it.
    """
    try:
        with quiet():
            # the shapes are the graph's own already; here they give the axis a name
            converted = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds
        raise not_convertible("an ONNX file", error) from error
    if converted is None:
        raise not_convertible("an ONNX file", RuntimeError("torch gave none"))
    # The exporter notes where on this machine each operation was written: nobody's business, and
    # half of a small file.
    ClearMetadataAndDocStringPass()(converted.model)
    converted.save(path, external_data=False)
    describe(path, texts)


def describe(path: Path, texts: Mapping[str, str]) -> None:
    """Puts metadata into an ONNX file, in place of what it has."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(texts))
    onnx.save(model, path)


def read_onnx_texts(path: Path) -> dict[str, str]:
    """Return the metadata of an ONNX file."""
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def open_onnx(path: Path, num_threads: int) -> Predictor:
    """An ONNX file, ready to predict.

    Args:
        path: The file.
        num_threads: That compute; 0 for all of the machine.

    Raises:
        NotConvertibleError: ONNX Runtime has no implementation of one of its operations.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many kinds
        raise not_convertible("an ONNX file that ONNX Runtime runs", error) from error

    def predict(images: Images) -> Logits:
        logits: Logits = session.run([OUTPUT], {INPUT: images})[0]
        return logits

    return predict


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what converters say of themselves off the terminal; errors are raised all the same."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
