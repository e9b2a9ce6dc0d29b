"""Define epoch checkpoints, from which an interrupted training resumes with an identical result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class EpochCheckpoint:
    """State of a training run after some of its epochs. The state of random streams is not
    included, because the streams are derived from the current step.

    Attributes:
        reports: Reports of the completed epochs.
        modules: State of all trained modules.
        optimizer: State of the optimiser.
        lr_scheduler: State of the learning-rate schedule.
    """

    reports: tuple[EpochReport, ...]
    modules: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    lr_scheduler: Mapping[str, Any]


@runtime_checkable
class EpochCheckpoints(Protocol):
    """Storage of the epoch checkpoints of one stage. A stage may train in several consecutive
    phases, and every phase has its own checkpoints.
    """

    def restore(self, phase: str) -> EpochCheckpoint | None:
        """Return the newest checkpoint of a phase; None if the phase has none."""

    def save(self, phase: str, checkpoint: EpochCheckpoint) -> None:
        """Store a checkpoint of a phase, replacing the previous checkpoint."""


class NoCheckpoints:
    """Storage that keeps no checkpoints, for training that is never resumed."""

    def restore(self, phase: str) -> EpochCheckpoint | None:
        """Return None: no checkpoint was kept."""
        return None

    def save(self, phase: str, checkpoint: EpochCheckpoint) -> None:
        """Discard the checkpoint."""
