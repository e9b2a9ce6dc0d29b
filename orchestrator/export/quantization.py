"""Quantise an ONNX file from float32 to int8, which reduces it to a quarter of its size.

If training images are available, quantisation is static [Jacob et al. 2018]: the images determine
the ranges of activations in advance. Weights have one scale per channel, activations one scale per
tensor. Without images, quantisation is dynamic: weights are rounded in advance, and activations at
run time. Only weights and activations of convolutions and matrix products are rounded. The rest of
the graph, including normalisation of pixels and embeddings, stays in float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from orchestrator.export.arrays import Images
from orchestrator.export.onnx_file import INPUT, describe, quiet
from orchestrator.export.program import not_convertible

_OPERATIONS = ["Conv", "Gemm", "MatMul"]
_CALIBRATION_BATCH = 32


def quantize(
    source: Path, target: Path, calibration: Images | None, texts: Mapping[str, str]
) -> str:
    """Write an int8 ONNX file, and return a description of how it was quantised.

    Args:
        source: The float32 file.
        target: The int8 file.
        calibration: Training images, never images used for evaluation; None if no such images are
            available.
        texts: Metadata of the model, by name.

    Raises:
        NotConvertibleError: ONNX Runtime cannot quantise the model.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, quiet():
        prepared = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(
                source, prepared, skip_symbolic_shape=True
            )  # preparation folds normalisation into the convolutions
            how = _write(prepared, target, calibration)
        except Exception as error:  # ONNX Runtime raises many kinds of errors
            raise not_convertible("an int8 file", error) from error
    describe(target, {**texts, "quantization": how})
    return how


def _write(prepared: Path, target: Path, calibration: Images | None) -> str:
    if calibration is None or not len(calibration):
        quantize_dynamic(
            prepared, target, op_types_to_quantize=_OPERATIONS, weight_type=QuantType.QUInt8
        )
        return "dynamic int8, without calibration"
    quantize_static(
        prepared,
        target,
        _Calibration(calibration),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_OPERATIONS,
        per_channel=True,
        # 7-bit weights, because sums of 8-bit products overflow on CPUs without VNNI
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return f"static int8, calibrated on {len(calibration)} training images"


class _Calibration(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is not typed
    """Source of calibration images for ONNX Runtime, batch by batch."""

    def __init__(self, images: Images) -> None:
        self._batches: Iterator[Images] = iter(
            np.array_split(images, -(-len(images) // _CALIBRATION_BATCH))
        )

    def get_next(self) -> dict[str, Images] | None:
        """Return the next batch of images; None after the last batch."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
