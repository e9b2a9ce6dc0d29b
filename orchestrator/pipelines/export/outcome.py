"""Define the request, the listener and the outcome of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.config.roles import Role
from orchestrator.export.comparison import Comparison
from orchestrator.export.description import Description
from orchestrator.export.formats import Format

TOLERATED_LOSS = 0.01


@dataclass(frozen=True)
class ExportRequest:
    """Request for an export.

    Attributes:
        reference: A run id, the first characters of a run id, or a registered model.
        role: The role to export; None means the student, or the registered model's role.
        kind: Format of the file.
        quantize: Whether to quantise weights and activations to int8.
        output: Path of the file; None means `out/exports/ROLE-RUN_ID.FORMAT`.
    """

    reference: str
    role: Role | None = None
    kind: Format = "onnx"
    quantize: bool = False
    output: Path | None = None


class ExportListener(Protocol):
    """Listener that receives the steps of an export."""

    def step(self, what: str) -> None:
        """Handle the start of one step of the export.

        Args:
            what: The step in words, such as `fetch the student`.
        """

    def progress(self, done: int, total: int) -> None:
        """Handle the progress of the current step, which has processed `done` of `total` images."""


@dataclass(frozen=True)
class Measured:
    """Measurements of an exported file.

    Attributes:
        name: `student`, `student int8` or `teacher`.
        num_parameters: Number of learned parameters.
        num_bytes: Size of the file.
        seconds: Median time per image, with one thread.
        accuracy: Accuracy on the test images after the last task, in [0, 1]; None if the test
            images cannot be read.
    """

    name: str
    num_parameters: int
    num_bytes: int
    seconds: float
    accuracy: float | None


@dataclass(frozen=True)
class Quantized:
    """Int8 file of an export.

    Attributes:
        how: The quantisation method and its calibration images, in words.
        measured: Measurements of the int8 file.
        comparison: Comparison of the int8 file with the original model.
    """

    how: str
    measured: Measured
    comparison: Comparison


@dataclass(frozen=True)
class Exported:
    """Outcome of an export.

    Attributes:
        path: Path of the exported file.
        kind: Format of the file.
        description: Metadata of the file.
        measured: Measurements of the float32 file.
        comparison: Comparison of the float32 file with the original model.
        quantized: Results for the int8 file; None without `quantize`. With `quantize`, the int8
            file is at `path`, and the float32 file is not kept.
        other: Measurements of the run's other model (teacher or student) in the same format; None
            if the other model cannot be measured.
        judged_on: The images on which the files were compared with the original model, in words.
    """

    path: Path
    kind: Format
    description: Description
    measured: Measured
    comparison: Comparison
    quantized: Quantized | None
    other: Measured | None
    judged_on: str

    @property
    def loss(self) -> float:
        """Return the loss of accuracy by quantising to int8, as a fraction. Return 0 if no int8
        file was written, or if the test images cannot be read.
        """
        plain, small = (
            self.measured.accuracy,
            self.quantized.measured.accuracy if self.quantized else None,
        )
        return 0.0 if plain is None or small is None else plain - small
