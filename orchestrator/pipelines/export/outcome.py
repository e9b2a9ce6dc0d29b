"""The request of an export, the listener of its steps, and its outcome."""

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
    """What is to be exported, and how.

    Attributes:
        reference: A run id, its first letters, or a registered model.
        role: Whose model; None means the student, or what the registered model is.
        kind: The format.
        quantize: Whether weights and activations become int8.
        output: The file; None means `out/exports/ROLE-RUN_ID.FORMAT`.
    """

    reference: str
    role: Role | None = None
    kind: Format = "onnx"
    quantize: bool = False
    output: Path | None = None


class ExportListener(Protocol):
    """Receive the steps of an export."""

    def step(self, what: str) -> None:
        """Receive that a step begins."""

    def progress(self, done: int, total: int) -> None:
        """Receive how many images of the current step are done, and how many there are."""


@dataclass(frozen=True)
class Measured:
    """A file in numbers.

    Attributes:
        name: `student`, `student int8`, `teacher`.
        num_parameters: That were learned.
        num_bytes: Of the file.
        seconds: Median time of one image, with one thread.
        accuracy: Last accuracy on the test images, in [0, 1]; None where they cannot be read.
    """

    name: str
    num_parameters: int
    num_bytes: int
    seconds: float
    accuracy: float | None


@dataclass(frozen=True)
class Quantized:
    """The int8 file.

    Attributes:
        how: By which method, calibrated on what.
        measured: It in numbers.
        comparison: Of it with the original.
    """

    how: str
    measured: Measured
    comparison: Comparison


@dataclass(frozen=True)
class Exported:
    """What an export gives.

    Attributes:
        path: The file.
        kind: Its format.
        description: What the file says of itself.
        measured: The file in float32.
        comparison: Of it with the original.
        quantized: The int8 file, which then is the one at `path`; None where it was not asked for.
        other: The other role's model in the same format; None where the run has none that can be
            converted.
        judged_on: On which images, for people.
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
        """Accuracy that int8 costs; 0 where there is no int8 or no test image."""
        plain, small = (
            self.measured.accuracy,
            self.quantized.measured.accuracy if self.quantized else None,
        )
        return 0.0 if plain is None or small is None else plain - small
